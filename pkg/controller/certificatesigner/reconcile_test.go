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

package certificatesigner

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

func conditions(kinds ...certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var list []certificatesv1.CertificateSigningRequestCondition
	for _, kind := range kinds {
		list = append(list, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue})
	}
	return list
}

func TestOnlyApprovedRequestsOfTheSignersAreSigned(t *testing.T) {
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	for _, tc := range []struct {
		name, signer string
		status       certificatesv1.CertificateSigningRequestStatus
		deleted      bool
		want         bool
	}{
		{"an approved request of a client", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved)}, false, true},
		{"an approved request of a host", "gatehouse.dev/host-serving", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved)}, false, true},
		{"a request without a decision", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{}, false, false},
		{"a denied request", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(denied)}, false, false},
		{"an approved request that failed", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved, failed)}, false, false},
		{"an approved and denied request", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(denied, approved)}, false, false},
		{"an issued request", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved), Certificate: []byte("x")}, false, false},
		{"a request that is being deleted", "kubernetes.io/kube-apiserver-client", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved)}, true, false},
		{"an approved request of another signer", "example.com/signer", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved)}, false, false},
		{"an approved request of a kubelet", "kubernetes.io/kube-apiserver-client-kubelet", certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(approved)}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: tc.signer}, Status: tc.status}
			if tc.deleted {
				request.DeletionTimestamp = &metav1.Time{}
			}
			if got := isWaiting(request); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestACertificateHasTheNameTheGroupsAndTheLifetimeOfTheRequestAndNothingElse(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	uid := pkix.AttributeTypeAndValue{Type: []int{1, 3, 6, 1, 4, 1, 57683, 2}, Value: "someone-else"}
	for _, tc := range []struct {
		name    string
		user    string
		groups  []string
		seconds *int32
		from    time.Duration
		until   time.Duration
	}{
		{"a user without a lifetime", "jane", []string{"team"}, nil, -5 * time.Minute, 365 * 24 * time.Hour},
		{"a user with a lifetime", "jane", nil, ptr.To[int32](600), -5 * time.Minute, 10 * time.Minute},
		{"a user with a lifetime of 68 years", "jane", nil, ptr.To[int32](1<<31 - 1), -5 * time.Minute, 365 * 24 * time.Hour},
		{"a host, whose certificates are revoked by their time", "system:host:edge-1", []string{"system:hosts"}, ptr.To[int32](3600), 0, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
				ExpirationSeconds: tc.seconds, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature},
			}}
			parsed := &x509.CertificateRequest{
				Subject:    pkix.Name{CommonName: tc.user, Organization: tc.groups, OrganizationalUnit: []string{"x"}, ExtraNames: []pkix.AttributeTypeAndValue{uid}, Names: []pkix.AttributeTypeAndValue{uid}},
				RawSubject: []byte("x"), Extensions: []pkix.Extension{{Id: uid.Type, Value: []byte("x")}},
			}
			got := template(request, parsed, now)
			if got.Subject.String() != (pkix.Name{CommonName: tc.user, Organization: tc.groups}).String() || len(got.RawSubject) > 0 || len(got.ExtraExtensions) > 0 {
				t.Errorf("the subject is %s with %q, the extensions are %v", got.Subject, got.RawSubject, got.ExtraExtensions)
			}
			if !got.NotBefore.Equal(now.Add(tc.from)) || !got.NotAfter.Equal(now.Add(tc.until)) {
				t.Errorf("it is valid from %s until %s", got.NotBefore.Sub(now), got.NotAfter.Sub(now))
			}
			if got.KeyUsage != x509.KeyUsageDigitalSignature || len(got.ExtKeyUsage) != 1 || got.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || got.IsCA {
				t.Errorf("the usages are %v, %v, and it is an authority: %v", got.KeyUsage, got.ExtKeyUsage, got.IsCA)
			}
		})
	}
}

// newRequest returns an approved request of the host edge-1 for an alternative name.
func newRequest(t *testing.T, signer string, usage certificatesv1.KeyUsage, name string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:host:edge-1", Organization: []string{"system:hosts"}}, DNSNames: []string{name},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: signer,
			Usages: []certificatesv1.KeyUsage{usage}, Username: "system:host:edge-1", Groups: []string{"system:hosts"},
		},
		Status: certificatesv1.CertificateSigningRequestStatus{Conditions: conditions(certificatesv1.CertificateApproved)},
	}
}

func TestNamesOfAHostAreCheckedWithItsHostWhenItIsSigned(t *testing.T) {
	const found = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"edge-1"},"status":{"addresses":[{"type":"Hostname","address":"a.example.com"}]}}`
	const gone = `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"NotFound","code":404}`
	const broken = `{"apiVersion":"v1","kind":"Status","status":"Failure","message":"no answer","reason":"InternalError","code":500}`
	server := func() (*x509.Certificate, error) { return &x509.Certificate{}, nil }
	for _, tc := range []struct {
		name    string
		request *certificatesv1.CertificateSigningRequest
		code    int
		answer  string
		server  func() (*x509.Certificate, error)
		refused bool
		message string
	}{
		{"an address of the host", newRequest(t, "gatehouse.dev/host-serving", certificatesv1.UsageServerAuth, "a.example.com"), 200, found, server, false, ""},
		{"no address of the host", newRequest(t, "gatehouse.dev/host-serving", certificatesv1.UsageServerAuth, "b.example.com"), 200, found, server, true, "b.example.com is neither"},
		{"a host that is gone", newRequest(t, "gatehouse.dev/host-serving", certificatesv1.UsageServerAuth, "edge-1"), 404, gone, server, true, "there is no Host edge-1"},
		{"a Host that cannot be read", newRequest(t, "gatehouse.dev/host-serving", certificatesv1.UsageServerAuth, "edge-1"), 500, broken, server, false, "no answer"},
		{"a certificate of the server that cannot be read", newRequest(t, "gatehouse.dev/host-serving", certificatesv1.UsageServerAuth, "edge-1"), 200, found, func() (*x509.Certificate, error) { return nil, errors.New("no file") }, false, "no file"},
		{"a certificate of a client needs no Host", newRequest(t, "kubernetes.io/kube-apiserver-client", certificatesv1.UsageClientAuth, "b.example.com"), 404, gone, server, false, ""},
		{"a usage of another signer", newRequest(t, "kubernetes.io/kube-apiserver-client", certificatesv1.UsageServerAuth, "a.example.com"), 200, found, server, true, "server auth"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.answer))
			}))
			defer api.Close()
			client, err := versioned.NewForConfig(&rest.Config{Host: api.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
			if err != nil {
				t.Fatal(err)
			}
			c := &Controller{fleet: client, clock: clocktesting.NewFakePassiveClock(time.Now()), authority: &Authority{
				Sign: func(*x509.Certificate, any) ([]byte, error) { return []byte("signed"), nil }, Server: tc.server,
			}}
			got, err := c.certify(t.Context(), tc.request)
			var refused refusal
			switch {
			case tc.message == "":
				if err != nil || string(got) != "signed" {
					t.Errorf("got %q, %v", got, err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.message) || errors.As(err, &refused) != tc.refused:
				t.Errorf("got %q, %v, refused: %v", got, err, errors.As(err, &refused))
			}
		})
	}
}
