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

package validation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func valid(t *testing.T) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "jane"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: "example.com/signer",
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}
}

func TestRequests(t *testing.T) {
	type spec = certificatesv1.CertificateSigningRequestSpec
	const digital, client = certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth
	for _, tc := range []struct {
		name   string
		change func(*spec)
		fields []string
	}{
		{"a valid one", func(*spec) {}, nil},
		{"one for ten minutes", func(s *spec) { s.ExpirationSeconds = ptr.To[int32](600) }, nil},
		{"one for less", func(s *spec) { s.ExpirationSeconds = ptr.To[int32](599) }, []string{"spec.expirationSeconds"}},
		{"one for a negative time", func(s *spec) { s.ExpirationSeconds = ptr.To[int32](-600) }, []string{"spec.expirationSeconds"}},
		{"one without a request", func(s *spec) { s.Request = nil }, []string{"spec.request"}},
		{"one that is no PEM", func(s *spec) { s.Request = []byte("x") }, []string{"spec.request"}},
		{"one without usages", func(s *spec) { s.Usages = nil }, []string{"spec.usages"}},
		{"one with an unknown usage", func(s *spec) { s.Usages = []certificatesv1.KeyUsage{client, "flying"} }, []string{"spec.usages[1]"}},
		{"one with a usage twice", func(s *spec) { s.Usages = []certificatesv1.KeyUsage{client, digital, client} }, []string{"spec.usages[2]"}},
		{"one with all usages", func(s *spec) { s.Usages = usages() }, nil},
		{"one with more usages than there are", func(s *spec) { s.Usages = append(usages(), client) }, []string{"spec.usages"}},
		{"one without a signer", func(s *spec) { s.SignerName = "" }, []string{"spec.signerName"}},
		{"one for a signer of the beta version", func(s *spec) { s.SignerName = "kubernetes.io/legacy-unknown" }, []string{"spec.signerName"}},
		{"one for a signer of Kubernetes", func(s *spec) { s.SignerName = "kubernetes.io/kube-apiserver-client" }, nil},
		{"one for a signer with dots", func(s *spec) { s.SignerName = "a.example.com/b.c-d" }, nil},
		{"one for a signer without a domain", func(s *spec) { s.SignerName = "signer" }, []string{"spec.signerName"}},
		{"one for a signer with two slashes", func(s *spec) { s.SignerName = "example.com/a/b" }, []string{"spec.signerName"}},
		{"one for a signer of a top domain", func(s *spec) { s.SignerName = "com/signer" }, []string{"spec.signerName"}},
		{"one for a signer of a wildcard", func(s *spec) { s.SignerName = "*.example.com/signer" }, []string{"spec.signerName"}},
		{"one for all signers of a domain", func(s *spec) { s.SignerName = "example.com/*" }, []string{"spec.signerName"}},
		{"one for a signer in capitals", func(s *spec) { s.SignerName = "example.com/Signer" }, []string{"spec.signerName"}},
		{"one for a signer with a long name", func(s *spec) { s.SignerName = "example.com/" + strings.Repeat("a.", 300) + "a" }, []string{"spec.signerName"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := valid(t)
			tc.change(&request.Spec)
			var fields []string
			for _, err := range ValidateCertificateSigningRequest(request) {
				fields = append(fields, err.Field)
			}
			if !slices.Equal(slices.Compact(fields), tc.fields) {
				t.Errorf("got %v", fields)
			}
		})
	}
}
