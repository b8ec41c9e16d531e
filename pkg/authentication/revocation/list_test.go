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
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
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
