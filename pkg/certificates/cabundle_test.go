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
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestAServingCertificateIsVerifiedByTheAuthoritiesBesideIt(t *testing.T) {
	bundle, err := Ensure(filepath.Join(t.TempDir(), "pki"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	serving, ca, admin := bundle.Serving.CertPEM, bundle.CA.CertPEM, bundle.Admin.CertPEM
	for _, tc := range []struct {
		name string
		file []byte
		want []byte
	}{
		{"a certificate with its authority", bytes.Join([][]byte{serving, ca}, nil), ca},
		{"a certificate alone", serving, serving},
		{"a certificate beside another that is no authority", bytes.Join([][]byte{serving, admin}, nil), serving},
		{"an authority after another certificate", bytes.Join([][]byte{serving, admin, ca}, nil), ca},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tls.crt")
			if err := os.WriteFile(file, tc.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := AuthoritiesOf(file); err != nil || !bytes.Equal(got, tc.want) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
	if _, err := AuthoritiesOf(bundle.ServingKeyFile); err == nil {
		t.Error("a file without a certificate is accepted")
	}
}
