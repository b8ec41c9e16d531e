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

package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
)

// newAuthority makes an authority that is valid until a time.
func newAuthority(t *testing.T, name string, until time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-10 * 365 * 24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return encode(t, der, key)
}

const year = 365 * 24 * time.Hour

// newLeaf makes a certificate of an authority that is valid for a year, until a time.
func newLeaf(t *testing.T, caPEM, caKeyPEM []byte, until time.Time, names ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	return newLeafOf(t, caPEM, caKeyPEM, until.Add(-year), until, names...)
}

func newLeafOf(t *testing.T, caPEM, caKeyPEM []byte, from, until time.Time, names ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	ca, err := tls.X509KeyPair(caPEM, caKeyPEM)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, &key.PublicKey, ca.PrivateKey)
	must(t, err)
	return encode(t, der, key)
}

func encode(t *testing.T, der []byte, key *ecdsa.PrivateKey) (certPEM, keyPEM []byte) {
	t.Helper()
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// issue replaces a certificate by one of the same authority that ends after a time from now.
func issue(name string, left time.Duration) plant { return issueOf("ca", name, left) }

func issueOf(authority, name string, left time.Duration) plant {
	return func(t *testing.T, s *doctor.Standalone) {
		ca, err := os.ReadFile(at(s, "pki", authority+".crt"))
		must(t, err)
		key, err := os.ReadFile(at(s, "pki", authority+".key"))
		must(t, err)
		leaf, leafKey := newLeaf(t, ca, key, time.Now().Add(left), "localhost")
		write(string(leaf), "pki/"+name+".crt")(t, s)
		write(string(leafKey), "pki/"+name+".key")(t, s)
	}
}

// foreign replaces an authority by another one.
func foreign(t *testing.T, certFile, keyFile string) {
	t.Helper()
	ca, key := newAuthority(t, "foreign", time.Now().Add(365*24*time.Hour))
	must(t, os.WriteFile(certFile, ca, 0o644))
	must(t, os.WriteFile(keyFile, key, 0o600))
}

// edit replaces the content of a file.
func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	changed := change(string(content))
	if changed == string(content) {
		t.Fatalf("nothing is changed in %s", path)
	}
	must(t, os.WriteFile(path, []byte(changed), 0o600))
}

// authorityIn matches the authority in a kubeconfig.
const authorityIn = `certificate-authority-data: \S+`

// otherAuthority is a certificate that no server of these tests has.
const otherAuthority = "-----BEGIN CERTIFICATE-----\n" + "MIIBATCBqQIBATAKBggqhkjOPQQDAjAQMQ4wDAYDVQQDDAVvdGhlcjAeFw0yNjEy\n" + "-----END CERTIFICATE-----\n"

// kubeconfigAuthority replaces the authority in a kubeconfig.
func kubeconfigAuthority(content string) string {
	return regexp.MustCompile(authorityIn).ReplaceAllString(content, "certificate-authority-data: "+base64.StdEncoding.EncodeToString([]byte(otherAuthority)))
}
