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

package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

func TestTheServerSignsOnlyWhatItAccepts(t *testing.T) {
	own, err := certificates.Ensure(filepath.Join(t.TempDir(), "pki"), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := certificates.Ensure(filepath.Join(t.TempDir(), "pki"), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(t.TempDir(), "both.crt")
	if err := os.WriteFile(both, append(append([]byte{}, other.CA.CertPEM...), own.CA.CertPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, file string
		signs      bool
		fails      bool
	}{
		{"its own authority", "", true, false},
		{"its own authority by name", own.CAFile, true, false},
		{"its own authority among others", both, true, false},
		{"an authority whose key it does not have", other.CAFile, false, false},
		{"no file", both + ".none", false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			authority, err := newAuthority(tc.file, own)
			if (authority != nil) != tc.signs || (err != nil) != tc.fails {
				t.Fatalf("got %v, %v", authority, err)
			}
			if authority == nil {
				return
			}
			serving, err := authority.Server()
			if err != nil || !serving.Equal(own.Serving.Cert) {
				t.Errorf("the server has the certificate %v, %v", serving, err)
			}
			data, err := authority.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: "jane"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}, own.Admin.Key.Public())
			if err != nil {
				t.Fatal(err)
			}
			signed, err := cert.ParseCertsPEM(data)
			if err != nil || signed[0].CheckSignatureFrom(own.CA.Cert) != nil {
				t.Errorf("got %v, %v", signed, err)
			}
		})
	}
}
