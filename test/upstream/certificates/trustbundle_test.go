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
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	internal "k8s.io/kubernetes/pkg/apis/certificates"
	upstream "k8s.io/kubernetes/pkg/apis/certificates/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates/validation"
)

type bundle = certificatesv1.ClusterTrustBundle

func bundleToInternal(t *testing.T, scheme *runtime.Scheme, b *bundle) *internal.ClusterTrustBundle {
	t.Helper()
	out := &internal.ClusterTrustBundle{}
	if err := scheme.Convert(b, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

func newAnchor(t *testing.T, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "anchor"}, IsCA: true, BasicConstraintsValid: true}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// texts are values of spec.trustBundle, valid ones and others.
func texts(t *testing.T) map[string]string {
	t.Helper()
	encode := func(kind string, headers map[string]string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	const certificate = "CERTIFICATE"
	one := newAnchor(t, func(*x509.Certificate) {})
	other := newAnchor(t, func(*x509.Certificate) {})
	leaf := newAnchor(t, func(c *x509.Certificate) { c.IsCA = false })
	unconstrained := newAnchor(t, func(c *x509.Certificate) { c.BasicConstraintsValid = false })
	valid := encode(certificate, nil, one)
	return map[string]string{
		"one":                   valid,
		"two":                   valid + encode(certificate, nil, other),
		"text around":           "a\n" + valid + "b\n" + encode(certificate, nil, other) + "c",
		"none":                  "",
		"text":                  "x",
		"a broken block":        strings.Replace(valid, "END", "ENDED", 1),
		"a key":                 encode("EC PRIVATE KEY", nil, []byte("x")),
		"a key beside":          valid + encode("EC PRIVATE KEY", nil, []byte("x")),
		"another word for it":   encode("TRUSTED CERTIFICATE", nil, one),
		"headers":               encode(certificate, map[string]string{"a": "b"}, one),
		"garbage":               encode(certificate, nil, []byte("x")),
		"an empty block":        encode(certificate, nil, nil),
		"two in a block":        encode(certificate, nil, slices.Concat(one, other)),
		"a leaf":                encode(certificate, nil, leaf),
		"a leaf beside":         valid + encode(certificate, nil, leaf),
		"no basic constraints":  encode(certificate, nil, unconstrained),
		"one twice":             valid + valid,
		"one thrice, and a key": valid + valid + valid + encode("EC PRIVATE KEY", nil, []byte("x")),
		"exactly a megabyte":    strings.Repeat("x", 1<<20-len(valid)-1) + "\n" + valid,
		"a megabyte and a byte": strings.Repeat("x", 1<<20-len(valid)) + "\n" + valid,
	}
}

// bundleNames are pairs of a name and a signer.
var bundleNames = [][2]string{
	{"anchors", ""},
	{"a.b-c", ""},
	{"", ""},
	{"Anchors", ""},
	{"a:b", ""},
	{"example.com:signer:", ""},
	{"example.com:signer:v1", "example.com/signer"},
	{"example.com:signer:a.b", "example.com/signer"},
	{"", "example.com/signer"},
	{"anchors", "example.com/signer"},
	{"example.com:signer", "example.com/signer"},
	{"example.com:signer:", "example.com/signer"},
	{"example.com:signer:V1", "example.com/signer"},
	{"example.com:signer:a:b", "example.com/signer"},
	{"example.com:other:v1", "example.com/signer"},
	{"example.com/signer/v1", "example.com/signer"},
	{"example.com:signer:" + strings.Repeat("a", 253), "example.com/signer"},
	{"example.com:signer:" + strings.Repeat("a", 254), "example.com/signer"},
	{"kubernetes.io:legacy-unknown:v1", "kubernetes.io/legacy-unknown"},
	{"signer:v1", "signer"},
	{"com:signer:v1", "com/signer"},
	{"example.com:a:b:v1", "example.com/a/b"},
	{"Example.com:Signer:v1", "Example.com/Signer"},
	{"example.com:*:v1", "example.com/*"},
	{"example.com::v1", "example.com/"},
}

func TestTrustBundlesAreRefusedForTheSameFields(t *testing.T) {
	scheme, all := newScheme(), texts(t)
	var bundles []*bundle
	for _, names := range bundleNames {
		for _, text := range all {
			bundles = append(bundles, &bundle{
				ObjectMeta: metav1.ObjectMeta{Name: names[0], ResourceVersion: "1"},
				Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: names[1], TrustBundle: text},
			})
			generated := bundles[len(bundles)-1].DeepCopy()
			generated.Name, generated.GenerateName = "", names[0]+"-"
			bundles = append(bundles, generated)
		}
	}
	accepted := 0
	for _, b := range bundles {
		want := errorsOf(upstream.ValidateClusterTrustBundle(bundleToInternal(t, scheme, b), upstream.ValidateClusterTrustBundleOptions{}))
		if got := errorsOf(validation.ValidateClusterTrustBundle(b)); !slices.Equal(got, want) {
			t.Errorf("%q (generated %q) of %q: got %q, upstream returns %q for %.300q", b.Name, b.GenerateName, b.Spec.SignerName, got, want, b.Spec.TrustBundle)
		}
		if len(want) == 0 {
			accepted++
		}
	}
	if accepted == 0 || accepted == len(bundles) {
		t.Errorf("%d of %d are accepted: the comparison shows nothing", accepted, len(bundles))
	}
	t.Logf("%d bundles, %d accepted", len(bundles), accepted)
}

func TestChangesOfTrustBundlesAreRefusedForTheSameFields(t *testing.T) {
	scheme, all := newScheme(), texts(t)
	signers, count := []string{"", "example.com/signer", "example.com/other"}, 0
	for before, old := range all {
		for after, text := range all {
			for _, signer := range signers {
				for _, next := range signers {
					from := &bundle{ObjectMeta: metav1.ObjectMeta{Name: "example.com:signer:v1", ResourceVersion: "1"}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: old}}
					to := from.DeepCopy()
					to.Spec = certificatesv1.ClusterTrustBundleSpec{SignerName: next, TrustBundle: text}
					count++
					want := errorsOf(upstream.ValidateClusterTrustBundleUpdate(bundleToInternal(t, scheme, to), bundleToInternal(t, scheme, from)))
					if got := errorsOf(validation.ValidateClusterTrustBundleUpdate(to, from)); !slices.Equal(got, want) {
						t.Errorf("from %q of %q to %q of %q: got %q, upstream returns %q", before, signer, after, next, got, want)
					}
				}
			}
		}
	}
	t.Logf("%d changes", count)
}
