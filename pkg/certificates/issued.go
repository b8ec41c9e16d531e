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
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// issuedName is the directory below that of the authority in which the certificates of users and hosts
// are recorded: without their keys, by serial number.
const issuedName = "issued"

// keepExpired is the time for which the record of an expired certificate is kept.
const keepExpired = 30 * 24 * time.Hour

// Certificate is a certificate in a certificate directory.
type Certificate struct {
	// Kind is ca, serving, admin or client.
	Kind string
	*x509.Certificate
}

// RecordIssued records a certificate that the authority in a directory has signed, so that it can be
// found when it must be revoked. Records of certificates that have long expired are removed.
func RecordIssued(dir string, certPEM []byte, now time.Time) error {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return errors.New("there is no certificate to record")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	records := filepath.Join(dir, issuedName)
	if err := files.MakeDirectory(records); err != nil {
		return err
	}
	removeExpired(records, now)
	return files.WriteNew(filepath.Join(records, certificate.SerialNumber.Text(16)+".crt"), certPEM, 0o600)
}

func removeExpired(records string, now time.Time) {
	names, _ := filepath.Glob(filepath.Join(records, "*.crt"))
	for _, name := range names {
		if found, err := cert.CertsFromFile(name); err == nil && now.After(found[0].NotAfter.Add(keepExpired)) {
			_ = os.Remove(name)
		}
	}
}

// List returns the certificates in a directory: those of the server and of the administrator, and
// those that RecordIssued has recorded, by name of file. A missing directory has none.
func List(dir string) ([]Certificate, error) {
	var list []Certificate
	for _, kind := range []string{caName, servingName, adminName} {
		found, err := cert.CertsFromFile(filesOf(dir, kind).cert)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filesOf(dir, kind).cert, err)
		}
		list = append(list, Certificate{Kind: kind, Certificate: found[0]})
	}
	entries, err := os.ReadDir(filepath.Join(dir, issuedName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".crt") {
			continue
		}
		path := filepath.Join(dir, issuedName, entry.Name())
		found, err := cert.CertsFromFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: remove the file if it is damaged", path, err)
		}
		list = append(list, Certificate{Kind: "client", Certificate: found[0]})
	}
	return list, nil
}
