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
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// signingKeyName is the file with the private key that signs service account tokens.
const signingKeyName = "service-accounts.key"

// EnsureSigningKey returns the file with the private key that signs service account tokens, and
// creates it if it is missing. It never replaces one: every token would become invalid. The
// warning, if not empty, is a sentence for the log.
func EnsureSigningKey(dir string) (path, warning string, err error) {
	if err := files.MakeDirectory(dir); err != nil {
		return "", "", fmt.Errorf("make the certificate directory: %w", err)
	}
	path = filepath.Join(dir, signingKeyName)
	warning, err = tighten(path, keyMode)
	if err != nil {
		return "", "", err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, warning, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", "", fmt.Errorf("encode a key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der})
	if err := files.Replace(path, data, keyMode); err != nil {
		return "", "", fmt.Errorf("write the key that signs tokens: %w", err)
	}
	return path, "", nil
}

// SigningKeyCure returns the end of an error about a file of EnsureSigningKey that cannot be read.
func SigningKeyCure(path string) string {
	return fmt.Sprintf("restore %s from a backup, or remove it to have a new key, after which every service account token must be requested again", path)
}
