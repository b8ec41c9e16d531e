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

package signers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// check compares an error with a part of its message; empty for none.
func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "":
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	case err == nil || !strings.Contains(err.Error(), want):
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestRequestsAreParsedAndVerified(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	forged := bytes.Replace(der, []byte("jane"), []byte("root"), 1)
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"a request":                             {encode("CERTIFICATE REQUEST", der), ""},
		"nothing":                               {nil, "must be a PEM block"},
		"a certificate":                         {encode("CERTIFICATE", der), "must be a PEM block"},
		"bytes":                                 {encode("CERTIFICATE REQUEST", []byte("x")), "asn1"},
		"a request whose subject was changed":   {encode("CERTIFICATE REQUEST", forged), "its signature is not that of the key in it"},
		"a request of 64 KiB and more":          {make([]byte, maxRequest+1), "at most 65536 bytes"},
		"a request with an RSA key of 9000 bit": {encode("CERTIFICATE REQUEST", withLongKey(t)), "has an RSA key of 9000 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := ParseRequest(tc.data)
			check(t, err, tc.want)
			if err == nil && parsed.Subject.CommonName != "jane" {
				t.Errorf("the subject is %s", parsed.Subject)
			}
		})
	}
}

// withLongKey returns a request with an RSA key of 9000 bits and no valid signature.
func withLongKey(t *testing.T) []byte {
	t.Helper()
	modulus := new(big.Int).SetBit(big.NewInt(1), 8999, 1)
	public, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return replaceKey(t, der, public)
}

func TestTheClientSignerSignsUsersAndHostsOnly(t *testing.T) {
	client, digital, encipher := certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment
	usages := func(list ...certificatesv1.KeyUsage) []certificatesv1.KeyUsage { return list }
	for _, tc := range []struct {
		name, user string
		groups     []string
		usages     []certificatesv1.KeyUsage
		want       string
	}{
		{"a user", "jane", nil, usages(client), ""},
		{"a user in groups", "jane", []string{"team-a", "team-b"}, usages(client, digital, encipher), ""},
		{"a host", "system:host:edge-1", []string{"system:hosts"}, usages(client), ""},
		{"no name", "", []string{"team-a"}, usages(client), "no common name"},
		{"an administrator", "jane", []string{"system:masters"}, usages(client), "system:masters"},
		{"an administrator among others", "jane", []string{"team-a", "system:masters"}, usages(client), "system:masters"},
		{"a host that is an administrator", "system:host:edge-1", []string{"system:hosts", "system:masters"}, usages(client), "system:masters"},
		{"a host in another group, too", "system:host:edge-1", []string{"system:hosts", "team-a"}, usages(client), "reserved"},
		{"a host outside of its group", "system:host:edge-1", nil, usages(client), "reserved"},
		{"a host with a name that no Host has", "system:host:Edge_1", []string{"system:hosts"}, usages(client), "reserved"},
		{"a user among the hosts", "jane", []string{"system:hosts"}, usages(client), "reserved"},
		{"a controller", "system:controller:scheduler", nil, usages(client), "reserved"},
		{"a service account", "system:serviceaccount:default:web", []string{"system:serviceaccounts"}, usages(client), "reserved"},
		{"the server itself", "system:apiserver", nil, usages(client), "reserved"},
		{"an anonymous user", "system:anonymous", nil, usages(client), "reserved"},
		{"a group of the server", "jane", []string{"system:authenticated"}, usages(client), "reserved"},
		{"a usage of servers", "jane", nil, usages(client, certificatesv1.UsageServerAuth), "server auth"},
		{"a usage of authorities", "jane", nil, usages(client, certificatesv1.UsageCertSign), "cert sign"},
		{"any usage", "jane", nil, usages(certificatesv1.UsageAny), "any"},
		{"no usage of clients", "jane", nil, usages(digital), "missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: tc.user, Organization: tc.groups}}
			check(t, CheckClient(request, tc.usages), tc.want)
		})
	}
}

// edge returns a valid request of the host edge-1, with changes.
func edge(change ...func(*x509.CertificateRequest)) *x509.CertificateRequest {
	request := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "system:host:edge-1", Organization: []string{"system:hosts"}},
		DNSNames: []string{"edge-1"},
	}
	for _, f := range change {
		f(request)
	}
	return request
}

func TestTheHostSignerSignsForTheHostThatAsks(t *testing.T) {
	self := Requester{"system:host:edge-1", []string{"system:hosts", "system:authenticated"}}
	server := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth}
	for _, tc := range []struct {
		name    string
		request *x509.CertificateRequest
		usages  []certificatesv1.KeyUsage
		by      Requester
		want    string
	}{
		{"the host itself", edge(), server, self, ""},
		{"another host", edge(), server, Requester{"system:host:edge-2", self.Groups}, `may request its serving certificate, and not "system:host:edge-2"`},
		{"a user with the name of the host", edge(), server, Requester{"system:host:edge-1", []string{"team"}}, "only the agent of host"},
		{"an administrator", edge(), server, Requester{"gatehouse-admin", []string{"system:masters"}}, "only the agent of host"},
		{"a subject in no group", edge(func(r *x509.CertificateRequest) { r.Subject.Organization = nil }), server, self, "must have the common name"},
		{"a subject in two groups", edge(func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"system:hosts", "system:masters"} }), server, self, "must have the common name"},
		{"the subject of a user", edge(func(r *x509.CertificateRequest) { r.Subject.CommonName = "gatehouse" }), server, self, "must have the common name"},
		{"no alternative names", edge(func(r *x509.CertificateRequest) { r.DNSNames = nil }), server, self, "no alternative name"},
		{"an email address", edge(func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.com"} }), server, self, "email"},
		{"a URI", edge(func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "spiffe", Host: "a"}} }), server, self, "URIs"},
		{"the usage of clients", edge(), append(server, certificatesv1.UsageClientAuth), self, "client auth"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host, err := CheckHostServing(tc.request, tc.usages, tc.by)
			check(t, err, tc.want)
			if err == nil && host != "edge-1" {
				t.Errorf("the host is %q", host)
			}
		})
	}
}

func TestAHostServesUnderItsOwnNamesOnly(t *testing.T) {
	host := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}, Status: v1alpha1.HostStatus{Addresses: []v1alpha1.HostAddress{
		{Type: v1alpha1.HostInternalIP, Address: "10.0.0.5"},
		{Type: v1alpha1.HostHostname, Address: "edge-1.example.com"},
		{Type: v1alpha1.HostHostname, Address: "*.claimed.example.com"},
		{Type: v1alpha1.HostHostname, Address: "gatehouse.example.com."},
		// What a host claims that is the server's, or every machine's.
		{Type: v1alpha1.HostHostname, Address: "gatehouse.example.com"},
		{Type: v1alpha1.HostHostname, Address: "localhost"},
		{Type: v1alpha1.HostExternalIP, Address: "10.0.0.1"},
		{Type: v1alpha1.HostInternalIP, Address: "127.0.0.1"},
		{Type: v1alpha1.HostInternalIP, Address: "0.0.0.0"},
	}}}
	server := &x509.Certificate{DNSNames: []string{"gatehouse.example.com", "*.api.example.com"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.1")}}
	for _, tc := range []struct {
		name      string
		dns       []string
		addresses []string
		want      string
	}{
		{"its name", []string{"edge-1"}, nil, ""},
		{"its name and addresses", []string{"edge-1", "Edge-1.example.com"}, []string{"10.0.0.5"}, ""},
		{"the name of another host", []string{"edge-1", "edge-2"}, nil, "edge-2 is neither"},
		{"a wildcard", []string{"*"}, nil, "is neither"},
		{"a wildcard of its domain", []string{"*.example.com"}, nil, "is neither"},
		{"a wildcard that it claims", []string{"*.claimed.example.com"}, nil, "no plain DNS name"},
		{"a name of the server with a dot at its end", []string{"gatehouse.example.com."}, nil, "no plain DNS name"},
		{"an address that is not its own", nil, []string{"10.0.0.6"}, "10.0.0.6 is no address"},
		{"a name of the server that it claims", []string{"gatehouse.example.com"}, nil, "of the server itself"},
		{"an address of the server that it claims", nil, []string{"10.0.0.1"}, "of the server itself"},
		{"the name of every machine", []string{"localhost"}, nil, "of the server itself"},
		{"the address of every machine", nil, []string{"127.0.0.1"}, "every machine"},
		{"no address", nil, []string{"0.0.0.0"}, "every machine"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := &x509.CertificateRequest{DNSNames: tc.dns}
			for _, address := range tc.addresses {
				request.IPAddresses = append(request.IPAddresses, net.ParseIP(address))
			}
			check(t, CheckHostNames(request, host, server), tc.want)
		})
	}
}

// replaceKey returns the request with another public key, and so with a wrong signature.
func replaceKey(t *testing.T, der, public []byte) []byte {
	t.Helper()
	var request struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Attributes asn1.RawValue
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &request); err != nil {
		t.Fatal(err)
	}
	request.Info.Key = asn1.RawValue{FullBytes: public}
	changed, err := asn1.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
