/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// recipientName is the name of the file with the public part of the recovery key in a data directory.
	recipientName = "recovery-key.pub"
	// pkiDir is the directory of certificates and keys in a data directory.
	pkiDir = "pki"
	// encryptionFile is where the encryption configuration is in a backup, and in a restored data directory.
	encryptionFile = "encryption/config.yaml"
	// maxKeys bounds what is read of the keys, in bytes.
	maxKeys = 16 << 20
)

// NewRecoveryKey returns a new recovery key: the secret, which is shown to the user and kept nowhere, and the public
// part. They are an identity and a recipient of age, so the tool age decrypts the keys, too.
func NewRecoveryKey() (secret, public string, err error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return key.String(), key.Recipient().String(), nil
}

// SaveRecipient writes the public part of the recovery key to a data directory. An existing one stays, and is an
// fs.ErrExist, unless replace is true.
func SaveRecipient(dataDir, public string, replace bool) error {
	path := filepath.Join(dataDir, recipientName)
	data := []byte("# The public part of the recovery key: it encrypts the keys in backups, and cannot decrypt them.\n" + public + "\n")
	if replace {
		return files.Replace(path, data, fileMode)
	}
	if err := files.WriteNew(path, data, fileMode); err != nil {
		return err
	}
	return files.SyncDirectory(dataDir)
}

// Recipient returns the public part of the recovery key of a data directory, and an empty one if there is none.
func Recipient(dataDir string) (string, error) {
	path := filepath.Join(dataDir, recipientName)
	data, err := files.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	found, err := age.ParseRecipients(bytes.NewReader(data))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s does not hold one public key of age: run \"gatehouse backup init --replace\", which makes a new recovery key for later backups", path)
	}
	key, ok := found[0].(*age.X25519Recipient)
	if !ok {
		return "", fmt.Errorf("%s holds another kind of key than age1...: run \"gatehouse backup init --replace\"", path)
	}
	return key.String(), nil
}

// ofCluster are the files by which the members of one cluster of etcd trust each other. A restore makes another cluster,
// whose first start makes other ones.
var ofCluster = []string{"peer-ca.crt", "peer-ca.key", "peer.crt", "peer.key", "joining.key"}

// keyFile is a file among the keys of a backup.
type keyFile struct {
	// name is the path relative to the data directory, with slashes.
	name string
	mode fs.FileMode
	data []byte
}

// collectKeys reads the certificates and keys of a data directory, and the encryption configuration, unless the path
// of that is empty.
func collectKeys(dataDir, encryptionConfig string) ([]keyFile, error) {
	var found []keyFile
	root := filepath.Join(dataDir, pkiDir)
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		path := filepath.Join(root, entry.Name())
		if slices.Contains(ofCluster, entry.Name()) {
			continue
		}
		// Other names are files that wait for their rename.
		if extension := filepath.Ext(path); !entry.Type().IsRegular() || !slices.Contains([]string{".crt", ".key", ".pem", ".pub"}, extension) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found = append(found, keyFile{pkiDir + "/" + entry.Name(), info.Mode().Perm(), data})
	}
	if encryptionConfig == "" {
		return found, nil
	}
	// Links are followed: the files of a mounted Secret are links.
	data, err := os.ReadFile(encryptionConfig)
	if err == nil {
		err = files.Given(encryptionConfig)
	}
	if err != nil {
		return nil, fmt.Errorf("--encryption-provider-config: %w", err)
	}
	return append(found, keyFile{encryptionFile, fileMode, data}), nil
}

// sealKeys encrypts files to a recovery key and writes them to a new file.
func sealKeys(path, public string, keys []keyFile) error {
	recipient, err := age.ParseX25519Recipient(public)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	encrypted, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return err
	}
	out := tar.NewWriter(encrypted)
	for _, key := range keys {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: key.name, Mode: int64(key.mode.Perm()), Size: int64(len(key.data))}); err != nil {
			return err
		}
		if _, err := out.Write(key.data); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Close(), encrypted.Close()); err != nil {
		return err
	}
	return files.WriteNew(path, sealed.Bytes(), fileMode)
}

// ErrWrongKey is the error of a recovery key that is not that of a backup.
var ErrWrongKey = errors.New("the recovery key is not the one of this backup")

// ParseRecoveryKey parses what a file with a recovery key holds. Its errors contain no part of it.
func ParseRecoveryKey(content []byte) (age.Identity, error) {
	found, err := age.ParseIdentities(bytes.NewReader(bytes.TrimSpace(content)))
	if err != nil || len(found) != 1 {
		return nil, errors.New("it does not hold one recovery key: a line that begins with AGE-SECRET-KEY-1, as \"gatehouse up\" or \"gatehouse backup init\" printed it")
	}
	return found[0], nil
}

// openKeys decrypts the keys of a backup.
func openKeys(path string, m *Manifest, key age.Identity) ([]keyFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plain, err := age.Decrypt(file, key)
	if mismatch := (*age.NoIdentityMatchError)(nil); errors.As(err, &mismatch) {
		return nil, fmt.Errorf("%w: it needs the secret of %s", ErrWrongKey, m.Recipient)
	} else if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", keysPart, err)
	}
	var found []keyFile
	in := tar.NewReader(io.LimitReader(plain, maxKeys))
	for {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(in)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", keysPart, err)
		}
		if !safeName(head.Name) || head.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%s has a file %q, which no backup has", keysPart, head.Name)
		}
		found = append(found, keyFile{head.Name, fs.FileMode(head.Mode).Perm() & 0o644, data})
	}
	var names []string
	for _, f := range found {
		names = append(names, f.name)
	}
	if !slices.Equal(names, m.KeyFiles) {
		return nil, fmt.Errorf("%s has the files %s, and %s says %s", keysPart, strings.Join(names, ", "), manifestPart, strings.Join(m.KeyFiles, ", "))
	}
	return found, nil
}

// safeName reports whether a name is one that collectKeys makes.
func safeName(name string) bool {
	if name == encryptionFile {
		return true
	}
	file, found := strings.CutPrefix(name, pkiDir+"/")
	return found && file != "" && !strings.ContainsAny(file, `/\`) && !strings.HasPrefix(file, ".")
}

// encryptionOf returns the encryption configuration among the keys, or nil.
func encryptionOf(keys []keyFile) []byte {
	for _, key := range keys {
		if key.name == encryptionFile {
			return key.data
		}
	}
	return nil
}
