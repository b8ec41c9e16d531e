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

package hostrestriction

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// encode signs a request with a new key.
func encode(t *testing.T, request *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// newRequest returns a request of the host edge-1, with changes, for a subject.
func newRequest(t *testing.T, subject pkix.Name, change ...func(*certificatesv1.CertificateSigningRequest)) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	request := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "system:host:edge-1:serving"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: encode(t, &x509.CertificateRequest{Subject: subject, DNSNames: []string{"edge-1"}}), SignerName: "gatehouse.dev/host-serving",
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth},
		},
	}
	for _, f := range change {
		f(request)
	}
	return request
}

func TestAHostMayRequestTheCertificateWithWhichItServes(t *testing.T) {
	self := pkix.Name{CommonName: "system:host:edge-1", Organization: []string{"system:hosts"}}
	other := pkix.Name{CommonName: "system:host:edge-2", Organization: []string{"system:hosts"}}
	named := func(name string) func(*certificatesv1.CertificateSigningRequest) {
		return func(r *certificatesv1.CertificateSigningRequest) { r.Name = name }
	}
	client := func(r *certificatesv1.CertificateSigningRequest) {
		r.Spec.SignerName, r.Spec.Usages = "kubernetes.io/kube-apiserver-client", []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}
	}
	unnamed := func(r *certificatesv1.CertificateSigningRequest) {
		block, _ := pem.Decode(r.Spec.Request)
		parsed, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		r.Spec.Request = encode(t, &x509.CertificateRequest{Subject: parsed.Subject})
	}
	kubelet := func(r *certificatesv1.CertificateSigningRequest) { r.Spec.SignerName = "kubernetes.io/kubelet-serving" }
	clientUsage := func(r *certificatesv1.CertificateSigningRequest) {
		r.Spec.Usages = append(r.Spec.Usages, certificatesv1.UsageClientAuth)
	}
	unparsed := func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Request = nil }
	finalized := func(r *certificatesv1.CertificateSigningRequest) { r.Finalizers = []string{"example.com/x"} }
	for _, w := range []write{
		{name: "its own", object: newRequest(t, self)},
		{name: "one with the name of another host", object: newRequest(t, self, named("system:host:edge-2:serving")), message: "metadata.name"},
		{name: "one with the name of a user", object: newRequest(t, self, named("jane")), message: "metadata.name"},
		{name: "one for another host", object: newRequest(t, other), message: "only the agent of host"},
		{name: "one for an administrator", object: newRequest(t, pkix.Name{CommonName: "jane", Organization: []string{"system:masters"}}), message: "spec.request"},
		{name: "its next one as a client", object: newRequest(t, self, client, unnamed)},
		{name: "one as a client with a DNS name", object: newRequest(t, self, client), message: "no alternative names"},
		{name: "one of another host as a client", object: newRequest(t, other, client, unnamed), message: `may request its own next certificate, and not one of "system:host:edge-2"`},
		{name: "one of an administrator as a client", object: newRequest(t, pkix.Name{CommonName: "jane", Organization: []string{"system:masters"}}, client, unnamed), message: "spec.request"},
		{name: "one as a client in more groups", object: newRequest(t, pkix.Name{CommonName: "system:host:edge-1", Organization: []string{"system:hosts", "admins"}}, client, unnamed), message: "spec.request"},
		{name: "one of another signer", object: newRequest(t, self, kubelet), message: "spec.signerName"},
		{name: "one for use as a client", object: newRequest(t, self, clientUsage), message: "client auth"},
		{name: "one that cannot be parsed", object: newRequest(t, self, unparsed), message: "spec.request"},
		{name: "one with a finalizer", object: newRequest(t, self, finalized), message: "metadata.finalizers"},
		{name: "a change of one", object: newRequest(t, self), old: newRequest(t, self), message: "may create certificate signing requests"},
		{name: "a deletion of one", old: newRequest(t, self), message: "may create certificate signing requests"},
	} {
		w.resource = "certificatesigningrequests"
		t.Run(w.name, w.check)
	}
}
