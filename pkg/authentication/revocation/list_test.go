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

package revocation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

var revoked = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// request returns a request with a certificate of a name, or without one.
func request(ctx context.Context, name string, notBefore time.Time) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if name != "" {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: name}, NotBefore: notBefore}}}
	}
	return r
}

// known is an authenticator that returns one user for every request.
func known(name string, groups ...string) authenticator.Request {
	return authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: name, Groups: groups}}, true, nil
	})
}

func TestRefusals(t *testing.T) {
	const edge, hosts = "system:host:edge-1", "system:hosts"
	list := New(nil)
	list.take(map[string]string{"edge-1": revoked.Format(time.RFC3339), "edge-2": "last week"})
	for _, tc := range []struct {
		name, user, group, certificate string
		issued                         time.Time
		want                           string
	}{
		{"a certificate of before", edge, hosts, edge, revoked.Add(-time.Hour), "were revoked"},
		{"one of the same second", edge, hosts, edge, revoked, "were revoked"},
		{"one of the next second", edge, hosts, edge, revoked.Add(time.Second), ""},
		{"a host that is not on the list", "system:host:edge-3", hosts, "system:host:edge-3", revoked.Add(-time.Hour), ""},
		{"an entry that is no time", "system:host:edge-2", hosts, "system:host:edge-2", revoked.Add(time.Hour), "is revoked"},
		{"a host with a token", edge, hosts, "", time.Time{}, "must connect directly"},
		{"a host that a front proxy names", edge, hosts, "front-proxy", revoked.Add(time.Hour), "must connect directly"},
		{"a user of the name without the group", edge, "", edge, revoked.Add(-time.Hour), ""},
		{"a user", "jane", "", "jane", revoked.Add(-time.Hour), ""},
		{"a member of the group that is no host", "jane", hosts, "jane", revoked.Add(-time.Hour), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var groups []string
			if tc.group != "" {
				groups = []string{tc.group}
			}
			response, ok, err := list.Authenticator(known(tc.user, groups...)).AuthenticateRequest(request(t.Context(), tc.certificate, tc.issued))
			switch {
			case tc.want == "" && (err != nil || !ok || response.User.GetName() != tc.user):
				t.Errorf("got %v, %t, %v", response, ok, err)
			case tc.want != "" && (err == nil || ok || response != nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, %t, %v, which does not contain %q", response, ok, err, tc.want)
			}
		})
	}
}

func TestARevokedSerialNumberRefusesItsCertificateOnly(t *testing.T) {
	list := New(nil)
	list.take(map[string]string{signers.RevokedSerialPrefix + "ff": revoked.Format(time.RFC3339), signers.RevokedSerialPrefix + "a0": unknownExpiry})
	with := func(name string, serial int64) *http.Request {
		r := request(t.Context(), name, revoked)
		r.TLS.PeerCertificates[0].SerialNumber = big.NewInt(serial)
		return r
	}
	for _, tc := range []struct {
		name, user string
		request    *http.Request
		refused    bool
	}{
		{"the certificate", "jane", with("jane", 0xff), true},
		{"one whose expiry is not known", "jane", with("jane", 0xa0), true},
		{"another certificate of the user", "jane", with("jane", 0xfe), false},
		{"a host's", "system:host:edge-1", with("system:host:edge-1", 0xff), true},
		{"a user that a front proxy with this number names", "jane", with("front-proxy", 0xff), false},
		{"a user with a token", "jane", request(t.Context(), "", revoked), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, ok, err := list.Authenticator(known(tc.user, "system:hosts")).AuthenticateRequest(tc.request)
			if ok == tc.refused || (err != nil) != tc.refused {
				t.Errorf("authenticated %t, %v", ok, err)
			}
		})
	}
}

func TestTheRequestsOfARevokedCertificateEnd(t *testing.T) {
	list := New(nil)
	list.take(nil)
	ended := make(chan error, 1)
	began := make(chan struct{})
	handler := list.WithEnd(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, ok, err := list.Authenticator(known("jane")).AuthenticateRequest(r); !ok || err != nil {
			t.Errorf("before the revocation: %t, %v", ok, err)
		}
		close(began)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	}))
	// A request that is not ended ends with the error of the deadline.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := request(ctx, "jane", revoked)
	r.TLS.PeerCertificates[0].SerialNumber = big.NewInt(0xff)
	go handler.ServeHTTP(httptest.NewRecorder(), r)
	<-began
	list.take(map[string]string{signers.RevokedSerialPrefix + "fe": unknownExpiry})
	list.take(map[string]string{signers.RevokedSerialPrefix + "ff": unknownExpiry})
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "serial number ff is revoked") {
		t.Errorf("the request ended with %v", err)
	}
}

func TestRevocationsOfCertificatesAreWrittenAndExpiredOnesRemoved(t *testing.T) {
	client := fake.NewClientset().CoreV1().ConfigMaps(Namespace)
	if err := Revoke(t.Context(), client, "edge-1", revoked); err != nil {
		t.Fatal(err)
	}
	for _, expiries := range []map[string]time.Time{{"1": revoked.Add(-time.Hour), "2": {}}, {"3": revoked.Add(time.Hour)}} {
		if err := RevokeCertificates(t.Context(), client, expiries, revoked); err != nil {
			t.Fatal(err)
		}
	}
	found, err := client.Get(t.Context(), ConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"edge-1": "2026-11-30T12:00:00Z", "serial_2": "unknown", "serial_3": "2026-11-30T13:00:00Z"}
	if !maps.Equal(found.Data, want) {
		t.Errorf("the ConfigMap has %v, want %v", found.Data, want)
	}
	serials, err := RevokedSerials(t.Context(), client)
	if err != nil || !maps.Equal(serials, map[string]bool{"2": true, "3": true}) {
		t.Errorf("serials %v, %v", serials, err)
	}
}

func TestHostsAreRefusedUntilTheListHasBeenRead(t *testing.T) {
	list := New(nil)
	if list.Ready() == nil {
		t.Error("ready before it has been read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := list.Authenticator(known("system:host:edge-1", "system:hosts")).AuthenticateRequest(request(ctx, "system:host:edge-1", revoked)); ok || err == nil {
		t.Errorf("a host: %t, %v", ok, err)
	}
	if _, ok, err := list.Authenticator(known("jane")).AuthenticateRequest(request(ctx, "jane", revoked)); !ok || err != nil {
		t.Errorf("a user: %t, %v", ok, err)
	}
}

func TestOpenRequestsOfRevokedHostsEndAndNoOthers(t *testing.T) {
	list := New(nil)
	list.take(nil)
	serving := map[string]context.Context{}
	begun, done := make(chan struct{}), make(chan struct{})
	for _, name := range []string{"system:host:edge-1", "system:host:edge-2"} {
		recognised := list.Authenticator(known(name, "system:hosts"))
		handler := list.WithEnd(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, ok, err := recognised.AuthenticateRequest(r); !ok || err != nil {
				t.Errorf("%s: %t, %v", name, ok, err)
			}
			serving[name] = r.Context()
			begun <- struct{}{}
			<-done
		}))
		go handler.ServeHTTP(httptest.NewRecorder(), request(context.WithoutCancel(t.Context()), name, revoked))
		<-begun
	}
	list.take(map[string]string{"edge-1": revoked.Format(time.RFC3339)})
	<-serving["system:host:edge-1"].Done()
	if err := context.Cause(serving["system:host:edge-1"]); !strings.Contains(err.Error(), "were revoked") {
		t.Errorf("it ended because of %v", err)
	}
	if err := serving["system:host:edge-2"].Err(); err != nil {
		t.Errorf("the other ended: %v", err)
	}
	close(done)
	<-serving["system:host:edge-2"].Done()
	list.mu.Lock()
	defer list.mu.Unlock()
	if n := len(list.open); n > 1 { // the second may be ending
		t.Errorf("%d ended requests are still recorded", n)
	}
}
