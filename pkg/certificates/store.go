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

package certificates

import (
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	dirMode  fs.FileMode = 0o700
	keyMode  fs.FileMode = 0o600
	certMode fs.FileMode = 0o644

	// staged marks a file that is complete on disk and waits for its rename.
	staged = ".next"
)

// pairFiles names the two files of a pair.
type pairFiles struct {
	cert string
	key  string
}

func filesOf(dir, name string) pairFiles {
	return pairFiles{cert: filepath.Join(dir, name+".crt"), key: filepath.Join(dir, name+".key")}
}

// read returns the pair, or false if neither file exists. cure is the end of
// the sentence of an error.
func (f pairFiles) read(cure string) (KeyPair, bool, error) {
	certPEM, certErr := files.ReadFile(f.cert)
	keyPEM, keyErr := files.ReadFile(f.key)
	certGone, keyGone := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case certGone && keyGone:
		return KeyPair{}, false, nil
	case certGone:
		return KeyPair{}, false, fmt.Errorf("%s is missing while %s is there: %s", f.cert, f.key, cure)
	case keyGone:
		return KeyPair{}, false, fmt.Errorf("%s is missing while %s is there: %s", f.key, f.cert, cure)
	case certErr != nil:
		return KeyPair{}, false, fmt.Errorf("cannot read a certificate: %w", certErr)
	case keyErr != nil:
		return KeyPair{}, false, fmt.Errorf("cannot read a private key: %w", keyErr)
	}

	if parsed, err := cert.ParseCertsPEM(certPEM); err != nil || len(parsed) == 0 {
		return KeyPair{}, false, fmt.Errorf("%s holds no readable certificate: %s", f.cert, cure)
	}
	pair, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return KeyPair{}, false, fmt.Errorf("%s is damaged or does not belong to %s (%w): %s", f.key, f.cert, err, cure)
	}
	return pair, true, nil
}

// parsePair parses a pair and proves that the key belongs to the certificate.
func parsePair(certPEM, keyPEM []byte) (KeyPair, error) {
	parsed, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return KeyPair{}, err
	}
	key, ok := parsed.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return KeyPair{}, fmt.Errorf("it holds a %T where an ECDSA key is expected", parsed.PrivateKey)
	}
	return KeyPair{Cert: parsed.Leaf, Key: key, CertPEM: certPEM, KeyPEM: keyPEM}, nil
}

// finish completes or reverts a replacement that a crash interrupted. The two
// renames of replace may reach the disk in either order, so each side counts as
// its staged file if that exists: if the newest certificate and the newest
// key match, the replacement is finished; otherwise staging was not complete,
// and the old pair stays. Without mayComplete it is reverted in any case.
func (f pairFiles) finish(mayComplete bool) error {
	newest := func(path string) (from string, data []byte) {
		if data, err := files.ReadFile(path + staged); err == nil {
			return path + staged, data
		}
		data, _ = files.ReadFile(path)
		return path, data
	}
	certFrom, certPEM := newest(f.cert)
	keyFrom, keyPEM := newest(f.key)
	if certFrom == f.cert && keyFrom == f.key {
		return nil
	}

	_, mismatch := parsePair(certPEM, keyPEM)
	complete := mayComplete && mismatch == nil
	for from, to := range map[string]string{certFrom: f.cert, keyFrom: f.key} {
		if from == to {
			continue
		}
		var err error
		if complete {
			err = os.Rename(from, to)
		} else {
			err = os.Remove(from)
		}
		if err != nil {
			return fmt.Errorf("finish an interrupted renewal: %w", err)
		}
	}
	return files.SyncDirectory(filepath.Dir(f.cert))
}

// replacement is a pair that replaces the content of its files.
type replacement struct {
	files pairFiles
	pair  KeyPair
}

// replace replaces the content of the files of pairs. All content is on disk
// under staged names before the first rename, so a reader sees old or new files
// and never a part of one, and finish can complete the work after a crash. Between the
// two renames of a pair a reader may see files that do not match for some
// microseconds; k8s.io/apiserver's file provider keeps what it has until they do.
func replace(dir string, list []replacement) error {
	type file struct {
		path string
		data []byte
		mode fs.FileMode
	}
	var written []file
	for _, r := range list {
		written = append(written,
			file{path: r.files.key, data: r.pair.KeyPEM, mode: keyMode},
			file{path: r.files.cert, data: r.pair.CertPEM, mode: certMode})
	}

	// Flushing in parallel lets the file system do it in one journal commit; one
	// after another it would be the longest phase of a first start.
	errs := make([]error, len(written))
	var wait sync.WaitGroup
	for i, f := range written {
		wait.Go(func() { errs[i] = writeSynced(f.path+staged, f.data, f.mode) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write certificates: %w", err)
	}
	if err := files.SyncDirectory(dir); err != nil {
		return err
	}
	for _, f := range written {
		if err := os.Rename(f.path+staged, f.path); err != nil {
			return fmt.Errorf("write certificates: %w", err)
		}
	}
	return files.SyncDirectory(dir)
}

// writeSynced writes a file and returns when its content is on disk. It removes an existing file
// of an earlier attempt, or of another user, and never writes to it.
func writeSynced(path string, data []byte, mode fs.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return files.WriteNew(path, data, mode)
}

// tighten removes the permissions of other users from path. It returns a warning
// if there were any, and an error if it cannot remove them.
func tighten(path string, want fs.FileMode) (warning string, err error) {
	info, err := os.Lstat(path)
	if err == nil {
		err = files.Owned(path, info.IsDir())
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return "", err
	}
	mode := info.Mode().Perm()
	if mode&0o077 == 0 {
		return "", nil
	}
	if err := os.Chmod(path, want); err != nil {
		return "", fmt.Errorf("%s is open to other users (mode %04o) and cannot be closed: run chmod %04o on it as its owner: %w",
			path, mode, want, err)
	}
	return fmt.Sprintf("%s was open to other users (mode %04o) and was closed to %04o; if another user may have read it, replace the certificates by removing their directory",
		path, mode, want), nil
}
