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

package hostapprover

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func lease(renewed time.Time) *v1alpha1.HostLease {
	return &v1alpha1.HostLease{Spec: v1alpha1.HostLeaseSpec{RenewTime: ptr.To(metav1.NewMicroTime(renewed)), LeaseDurationSeconds: ptr.To[int32](40)}}
}

// requestFor returns a request of a token in the groups.
func requestFor(t *testing.T, template *x509.CertificateRequest, groups ...string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		SignerName: signers.Client, Groups: groups,
		Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
	}}
}

func TestATokenLetsOnlyAHostJoinThatReplacesNoLivingOne(t *testing.T) {
	subject := func(name string, organizations ...string) *x509.CertificateRequest {
		return &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: organizations}}
	}
	edge, any, named := subject("system:host:edge-1", "system:hosts"), []string{v1alpha1.HostJoinGroup}, []string{v1alpha1.HostJoinGroup, v1alpha1.HostJoinGroup + ":edge-1"}
	host, silent, living := &v1alpha1.Host{}, lease(now.Add(-time.Hour)), lease(now.Add(-39*time.Second))
	for _, tc := range []struct {
		name   string
		groups []string
		csr    *x509.CertificateRequest
		e      existing
		denial string // part of it; empty if it is approved
	}{
		{"a new host", any, edge, existing{}, ""},
		{"a new host with its token", named, edge, existing{}, ""},
		{"a silent host with its token", named, edge, existing{host, silent}, ""},
		{"a host that an operator has created, with its token", named, edge, existing{host, nil}, ""},
		{"a silent host with any token", any, edge, existing{host, silent}, `host "edge-1" exists: join with another name, or create a token for it`},
		{"a lease without its host, with any token", any, edge, existing{nil, silent}, "exists"},
		{"a living host with its token", named, edge, existing{host, living}, `host "edge-1" is alive`},
		{"a lease without a time", named, edge, existing{host, &v1alpha1.HostLease{}}, "is alive"},
		{"another host than that of the token", named, subject("system:host:edge-2", "system:hosts"), existing{}, `the token is for host "edge-1" and not for "edge-2"`},
		{"a user", any, subject("alice"), existing{}, "is only good for the subject system:host:"},
		{"an administrator", any, subject("alice", "system:masters"), existing{}, "system:masters"},
		{"a host in more groups", any, subject("system:host:edge-1", "system:hosts", "admins"), existing{}, "reserved for the server"},
		{"another user of the server", any, subject("system:controller", "system:hosts"), existing{}, "reserved for the server"},
		{"alternative names", any, &x509.CertificateRequest{Subject: edge.Subject, DNSNames: []string{"gatehouse"}}, existing{}, "no alternative names"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := requestFor(t, tc.csr, tc.groups...)
			parsed, err := signers.ParseRequest(request.Spec.Request)
			if err != nil || !isJoin(request) {
				t.Fatal(err, "or it is ignored")
			}
			denial := decide(request, parsed, tc.e, now)
			if (denial == "") != (tc.denial == "") || !strings.Contains(denial, tc.denial) {
				t.Errorf("got %q, want %q", denial, tc.denial)
			}
		})
	}
}

func TestAHostRenewsItsOwnCertificateOnly(t *testing.T) {
	subject := func(name string, organizations ...string) *x509.CertificateRequest {
		return &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: organizations}}
	}
	edge := subject("system:host:edge-1", "system:hosts")
	for _, tc := range []struct {
		name    string
		csr     *x509.CertificateRequest
		revoked string // the time until which the host's certificates are revoked
		of      string // the host of the revocation; edge-1 if empty
		denial  string // part of it; empty if it is approved
	}{
		{name: "its next certificate", csr: edge},
		{name: "that of another host", csr: subject("system:host:edge-2", "system:hosts"), denial: `user "system:host:edge-1" may request its own next certificate, and not one of "system:host:edge-2"`},
		{name: "one of a user", csr: subject("alice"), denial: "the subject must have the common name system:host:"},
		{name: "one in more groups", csr: subject("system:host:edge-1", "system:hosts", "admins"), denial: "the subject must have the common name"},
		{name: "one with alternative names", csr: &x509.CertificateRequest{Subject: edge.Subject, DNSNames: []string{"gatehouse"}}, denial: "no alternative names"},
		{name: "a request long after a revocation, with a later certificate", csr: edge, revoked: now.Add(-time.Minute).Format(time.RFC3339)},
		{name: "a request from before a revocation", csr: edge, revoked: now.Add(time.Hour).Format(time.RFC3339), denial: "were revoked"},
		{name: "a request that a server may have accepted before it knew of the revocation", csr: edge, revoked: now.Add(-10 * time.Second).Format(time.RFC3339), denial: "were revoked"},
		{name: "a revocation without a time", csr: edge, revoked: "yes", denial: "were revoked"},
		{name: "a revocation of another host", csr: edge, revoked: "yes", of: "edge-2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := requestFor(t, tc.csr, v1alpha1.HostsGroup, "system:authenticated")
			request.Spec.Username, request.CreationTimestamp = "system:host:edge-1", metav1.NewTime(now)
			parsed, err := signers.ParseRequest(request.Spec.Request)
			if err != nil || !isRenewal(request) || isJoin(request) {
				t.Fatal(err, "or it is ignored")
			}
			revoked := map[string]string{"serial_1": "unknown"}
			if tc.revoked != "" {
				revoked[cmp.Or(tc.of, "edge-1")] = tc.revoked
			}
			denial := decideRenewal(request, parsed, signers.RevokedUntil(revoked))
			if (denial == "") != (tc.denial == "") || !strings.Contains(denial, tc.denial) {
				t.Errorf("got %q, want %q", denial, tc.denial)
			}
		})
	}
}

func TestOtherRequestsAreLeftToAnOperator(t *testing.T) {
	edge := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:host:edge-1", Organization: []string{"system:hosts"}}}
	for _, tc := range []struct {
		name   string
		change func(*certificatesv1.CertificateSigningRequest)
	}{
		{"of another bootstrap token", func(r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Groups = []string{"system:bootstrappers", "system:bootstrappers:installers"}
		}},
		{"of a token with a group that only begins like that of hosts", func(r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Groups = []string{v1alpha1.HostJoinGroup + ":edge-1", v1alpha1.HostJoinGroup + "2"}
		}},
		{"for another signer", func(r *certificatesv1.CertificateSigningRequest) { r.Spec.SignerName = signers.HostServing }},
		{"that are decided", func(r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{condition("no", false, metav1.NewTime(now))}
		}},
		{"that are being deleted", func(r *certificatesv1.CertificateSigningRequest) { r.DeletionTimestamp = ptr.To(metav1.NewTime(now)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := requestFor(t, edge, v1alpha1.HostJoinGroup)
			if tc.change(request); isJoin(request) || isRenewal(request) {
				t.Error("it is decided")
			}
		})
	}
}
