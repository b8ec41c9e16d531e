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

package encryption

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	fileMode = 0o600
	// keyBytes is the size of a key of secretbox, and of the largest key of AES.
	keyBytes = 32
	// nameFormat makes the names of keys sort by the time at which they were generated.
	nameFormat = "key-20060102T150405Z"
	header     = "# Written by \"gatehouse encryption\". With this file and a copy of the data, every object can be read.\n"
)

// File is the content of an encryption configuration.
type File struct {
	Path string
	// Hash is that of the content, in the form of the metric of a server that has loaded it.
	Hash   string
	config apiserverv1.EncryptionConfiguration
}

// Init writes a new file that encrypts all kinds with a random key, and still reads objects that were
// stored without encryption. With plaintextFirst, servers that load it only read with the key and write
// without encryption, until a rotation: replicas that have no key yet can read what they write.
func Init(path string, now time.Time, plaintextFirst bool) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	key, err := newKey(now, nil)
	if err != nil {
		return nil, err
	}
	providers := []apiserverv1.ProviderConfiguration{
		{Secretbox: &apiserverv1.SecretboxConfiguration{Keys: []apiserverv1.Key{key}}},
		{Identity: &apiserverv1.IdentityConfiguration{}},
	}
	if plaintextFirst {
		slices.Reverse(providers)
	}
	file := &File{Path: path, config: apiserverv1.EncryptionConfiguration{
		TypeMeta:  metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: "EncryptionConfiguration"},
		Resources: []apiserverv1.ResourceConfiguration{{Resources: []string{"*.*"}, Providers: providers}},
	}}
	data, err := file.encode()
	if err != nil {
		return nil, err
	}
	if err := files.MakeDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := files.Replaceable(path); err != nil {
		return nil, err
	}
	if err := files.WriteNew(path, data, fileMode); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists and is not overwritten, because its keys may be the only ones that read stored objects: name another file, or replace its key with \"gatehouse encryption rotate\"", path)
	} else if err != nil {
		return nil, err
	}
	return file, files.SyncDirectory(filepath.Dir(path))
}

// Read reads a file. Its errors contain no part of the content.
func Read(path string) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := files.Given(path); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file := &File{Path: path, Hash: hashOf(data)}
	if err := yaml.UnmarshalStrict(data, &file.config); err != nil {
		return nil, fmt.Errorf("%s is not an EncryptionConfiguration of %s (line, field or type is wrong): compare it with docs/encryption.md", path, apiserverv1.SchemeGroupVersion)
	}
	if file.config.Kind != "EncryptionConfiguration" || file.config.APIVersion != apiserverv1.SchemeGroupVersion.String() {
		return nil, fmt.Errorf("%s has apiVersion %q and kind %q: it needs %s and EncryptionConfiguration", path, file.config.APIVersion, file.config.Kind, apiserverv1.SchemeGroupVersion)
	}
	for _, entry := range file.config.Resources {
		if len(entry.Providers) == 0 {
			return nil, fmt.Errorf("%s: the entry of %s has no provider: add one", path, strings.Join(entry.Resources, ", "))
		}
	}
	return file, nil
}

func hashOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// encode returns the content and sets the hash.
func (f *File) encode() ([]byte, error) {
	data, err := yaml.Marshal(f.config)
	if err != nil {
		return nil, err
	}
	data = append([]byte(header), data...)
	f.Hash = hashOf(data)
	return data, nil
}

// replace writes the content in place of the file by a rename. The mode is kept if only the owner may
// read the file, and tightened otherwise.
func (f *File) replace() error {
	data, err := f.encode()
	if err != nil {
		return err
	}
	return files.Replace(f.Path, data, fileMode)
}

// newKey returns a random key whose name sorts after those of all generated ones.
func newKey(now time.Time, existing []apiserverv1.Key) (apiserverv1.Key, error) {
	now = now.UTC().Truncate(time.Second)
	for _, key := range existing {
		if at, err := time.Parse(nameFormat, key.Name); err == nil && !now.After(at) {
			now = at.Add(time.Second)
		}
	}
	secret := make([]byte, keyBytes)
	if _, err := rand.Read(secret); err != nil {
		return apiserverv1.Key{}, err
	}
	return apiserverv1.Key{Name: now.Format(nameFormat), Secret: base64.StdEncoding.EncodeToString(secret)}, nil
}

// keysOf returns the keys of a provider, or nil if it has none.
func keysOf(provider *apiserverv1.ProviderConfiguration) *[]apiserverv1.Key {
	switch {
	case provider.Secretbox != nil:
		return &provider.Secretbox.Keys
	case provider.AESCBC != nil:
		return &provider.AESCBC.Keys
	case provider.AESGCM != nil:
		return &provider.AESGCM.Keys
	}
	return nil
}

// typeOf returns the name of the provider in the prefix of stored values, and empty for identity.
func typeOf(provider *apiserverv1.ProviderConfiguration) string {
	switch {
	case provider.Secretbox != nil:
		return "secretbox"
	case provider.AESCBC != nil:
		return "aescbc"
	case provider.AESGCM != nil:
		return "aesgcm"
	case provider.KMS != nil:
		return "kms"
	}
	return ""
}

// describe returns a provider with the names of its keys.
func describe(provider *apiserverv1.ProviderConfiguration) string {
	if provider.KMS != nil {
		return fmt.Sprintf("kms %s at %s", provider.KMS.Name, provider.KMS.Endpoint)
	}
	keys := keysOf(provider)
	if keys == nil {
		return "identity (no encryption)"
	}
	var names []string
	for _, key := range *keys {
		names = append(names, key.Name)
	}
	return typeOf(provider) + " " + strings.Join(names, ", ")
}

// written is what the prefix of a stored value names: its provider and key. Both are empty for a value
// without encryption.
type written struct{ provider, key string }

func (w written) String() string {
	if w.provider == "" {
		return "no encryption"
	}
	return w.provider + " " + w.key
}

// writes returns with what a server that has loaded the file writes every object, and false if that
// differs by resource.
func (f *File) writes() (written, bool) {
	if len(f.config.Resources) != 1 || !slices.Contains(f.config.Resources[0].Resources, "*.*") {
		return written{}, false
	}
	first := &f.config.Resources[0].Providers[0]
	if first.KMS != nil {
		return written{"kms", first.KMS.Name}, true
	}
	if keys := keysOf(first); keys != nil && len(*keys) > 0 {
		return written{typeOf(first), (*keys)[0].Name}, true
	}
	return written{}, true
}
