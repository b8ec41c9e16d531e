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
	"math/big"
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// newCertificate returns a certificate in DER, of an authority if authority is true.
func newCertificate(t *testing.T, authority bool) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "anchor"}, IsCA: authority, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encode(kind string, headers map[string]string, data []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: data}))
}

func fieldsOf(errs field.ErrorList) []string {
	var fields []string
	for _, err := range errs {
		fields = append(fields, err.Field)
	}
	return fields
}

func TestTrustBundles(t *testing.T) {
	const certificate, names, anchors, signers = "CERTIFICATE", "metadata.name", "spec.trustBundle", "spec.signerName"
	one, other, leaf := newCertificate(t, true), newCertificate(t, true), newCertificate(t, false)
	valid := encode(certificate, nil, one)
	for _, tc := range []struct {
		name                 string
		object, signer, text string
		fields               []string
		says                 string
	}{
		{"a bundle without a signer", "anchors", "", valid, nil, ""},
		{"a bundle of a signer", "example.com:signer:v1", "example.com/signer", valid, nil, ""},
		{"a bundle of a signer of Kubernetes' beta version", "kubernetes.io:legacy-unknown:v1", "kubernetes.io/legacy-unknown", valid, nil, ""},
		{"two authorities with text between them", "anchors", "", "one\n" + valid + "other\n" + encode(certificate, nil, other), nil, ""},
		{"a colon in the name without a signer", "example.com:signer:v1", "", valid, []string{names}, "no colon"},
		{"capitals in the name", "Anchors", "", valid, []string{names}, "RFC 1123"},
		{"a name without its signer", "anchors", "example.com/signer", valid, []string{names}, "begins with example.com:signer:"},
		{"a name with another signer", "example.com:other:v1", "example.com/signer", valid, []string{names}, "begins with example.com:signer:"},
		{"a name with a signer that begins like it", "example.com:signers:v1", "example.com/signer", valid, []string{names}, "begins with example.com:signer:"},
		{"a name that ends after its signer", "example.com:signer:", "example.com/signer", valid, []string{names}, "RFC 1123"},
		{"a name with a colon after its signer", "example.com:signer:a:b", "example.com/signer", valid, []string{names}, "RFC 1123"},
		{"a signer without a domain", "signer:v1", "signer", valid, []string{signers}, "example.com/signer"},
		{"all signers of a domain", "example.com:*:v1", "example.com/*", valid, []string{signers}, "lower case"},
		{"no anchors", "anchors", "", "", []string{anchors}, "at least one PEM block"},
		{"text alone", "anchors", "", "x", []string{anchors}, "at least one PEM block"},
		{"more than a megabyte", "anchors", "", valid + strings.Repeat("x", 1<<20), []string{anchors}, "1048576"},
		{"a private key", "anchors", "", valid + encode("PRIVATE KEY", nil, []byte("x")), []string{anchors}, `PEM block 1 has the type "PRIVATE KEY"`},
		{"headers", "anchors", "", encode(certificate, map[string]string{"a": "b"}, one), []string{anchors}, "PEM block 0 has headers"},
		{"no certificate in a block", "anchors", "", encode(certificate, nil, []byte("x")), []string{anchors}, "PEM block 0 has no certificate"},
		{"two certificates in a block", "anchors", "", encode(certificate, nil, slices.Concat(one, other)), []string{anchors}, "PEM block 0 has no certificate"},
		{"a certificate of no authority", "anchors", "", valid + encode(certificate, nil, leaf), []string{anchors}, "PEM block 1 is not the certificate of an authority"},
		{"an authority twice", "anchors", "", valid + encode(certificate, nil, other) + valid, []string{anchors}, "PEM block 2 is the same certificate as block 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			errs := ValidateClusterTrustBundle(&certificatesv1.ClusterTrustBundle{
				ObjectMeta: metav1.ObjectMeta{Name: tc.object},
				Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: tc.signer, TrustBundle: tc.text},
			})
			if got := fieldsOf(errs); !slices.Equal(got, tc.fields) {
				t.Fatalf("the errors name %q, want %q: %v", got, tc.fields, errs)
			}
			if len(errs) > 0 && !strings.Contains(errs.ToAggregate().Error(), tc.says) {
				t.Errorf("%v does not contain %q", errs, tc.says)
			}
			if len(errs) > 0 && strings.Contains(errs.ToAggregate().Error(), "BEGIN") {
				t.Errorf("an error quotes the text: %v", errs)
			}
		})
	}
}

func TestTheSignerOfABundleStaysAndStoredAnchorsAreNotCheckedAgain(t *testing.T) {
	valid := encode("CERTIFICATE", nil, newCertificate(t, true))
	stored := func(text string) *certificatesv1.ClusterTrustBundle {
		return &certificatesv1.ClusterTrustBundle{
			ObjectMeta: metav1.ObjectMeta{Name: "example.com:signer:v1", ResourceVersion: "1"},
			Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: "example.com/signer", TrustBundle: text},
		}
	}
	for _, tc := range []struct {
		name   string
		old    string
		change func(*certificatesv1.ClusterTrustBundle)
		fields []string
	}{
		{"other anchors", "stored by another version", func(b *certificatesv1.ClusterTrustBundle) { b.Spec.TrustBundle = valid }, nil},
		{"anchors that are wrong", valid, func(b *certificatesv1.ClusterTrustBundle) { b.Spec.TrustBundle = "x" }, []string{"spec.trustBundle"}},
		{"a label of anchors that no longer parse", "stored by another version", func(b *certificatesv1.ClusterTrustBundle) { b.Labels = map[string]string{"a": "b"} }, nil},
		{"no signer", valid, func(b *certificatesv1.ClusterTrustBundle) { b.Spec.SignerName = "" }, []string{"metadata.name", "spec.signerName"}},
		{"another signer", valid, func(b *certificatesv1.ClusterTrustBundle) { b.Spec.SignerName = "example.com/other" }, []string{"metadata.name", "spec.signerName"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old, changed := stored(tc.old), stored(tc.old)
			tc.change(changed)
			if got := fieldsOf(ValidateClusterTrustBundleUpdate(changed, old)); !slices.Equal(got, tc.fields) {
				t.Errorf("the errors name %q, want %q", got, tc.fields)
			}
		})
	}
}
