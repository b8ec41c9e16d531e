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

package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	clocktesting "k8s.io/utils/clock/testing"
)

// identity is an authenticator and an authorizer.
type identity struct {
	name string
	err  error
	code int
}

func (k *identity) AuthenticateRequest(*http.Request) (*authenticator.Response, bool, error) {
	return &authenticator.Response{User: &user.DefaultInfo{Name: k.name}}, k.name != "" && k.err == nil, k.err
}

func (k *identity) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(k.code) }

// openWatches returns watches with a fake clock, one of which is open.
func openWatches(t *testing.T, k *identity, headers http.Header, ends time.Time) (*watchLifetimes, *clocktesting.FakeClock, context.Context) {
	t.Helper()
	now := clocktesting.NewFakeClock(time.Unix(1_000_000, 0))
	w := newWatchLifetimes(WatchLimits{MaxDuration: time.Hour, RecheckInterval: time.Minute}, now)
	w.authenticate, w.probe, w.credentials = k, k, credentialsOf(nil)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/configmaps?watch=1", nil)
	for name, values := range headers {
		r.Header[name] = values
	}
	if !ends.IsZero() {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: ends}}}
	}
	info, err := (&request.RequestInfoFactory{APIPrefixes: sets.NewString("api"), GrouplessAPIPrefixes: sets.NewString("api")}).NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	t.Cleanup(func() { end(nil) })
	w.admit(&openWatch{end: end, request: w.remember(r), info: info})
	return w, now, ctx
}

// look advances the clock and runs one pass.
func look(t *testing.T, w *watchLifetimes, now *clocktesting.FakeClock, by time.Duration) (looked int) {
	t.Helper()
	now.Step(by)
	for _, o := range w.pass(now.Now()) {
		w.recheck(t.Context(), o)
		looked++
	}
	return looked
}

func TestAWatchEndsWithTheRightsOfItsUser(t *testing.T) {
	busy := apierrors.NewTooManyRequests("later", 1)
	for _, tc := range []struct {
		name  string
		later identity
		ends  bool
	}{
		{"nothing has changed", identity{name: "alice", code: http.StatusOK}, false},
		{"the right is gone", identity{name: "alice", code: http.StatusForbidden}, true},
		{"the credentials are gone", identity{}, true},
		{"the credentials are refused", identity{name: "alice", err: errors.New("revoked")}, true},
		{"they belong to another user now", identity{name: "bob", code: http.StatusOK}, true},
		{"the cluster does not answer", identity{name: "alice", err: &url.Error{Op: "Post", Err: errors.New("connection refused")}}, false},
		{"the cluster is busy", identity{name: "alice", err: utilerrors.NewAggregate([]error{errors.New("no certificate"), fmt.Errorf("token-review: %w", busy)})}, false},
		{"the authorizer fails", identity{name: "alice", code: http.StatusInternalServerError}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := &identity{name: "alice", code: http.StatusOK}
			w, now, ctx := openWatches(t, k, nil, time.Time{})
			if look(t, w, now, time.Second) != 0 {
				t.Error("it was checked in the first second")
			}
			if look(t, w, now, time.Minute) != 1 || ctx.Err() != nil {
				t.Error("it was not checked after the interval, or it ended")
			}
			*k = tc.later
			if look(t, w, now, time.Minute) != 1 {
				t.Error("it was not checked again")
			}
			if ended := ctx.Err() != nil; ended != tc.ends || len(w.open) != map[bool]int{true: 0, false: 1}[tc.ends] {
				t.Errorf("ended: %v, %d are open", ended, len(w.open))
			}
		})
	}
}

func TestAWatchEndsAtItsExpiry(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	token := func(claims string) http.Header {
		return http.Header{"Authorization": {"Bearer e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"}}
	}
	for _, tc := range []struct {
		name        string
		headers     http.Header
		certificate time.Time
		lasts, ends time.Duration // from the start: still open, and ended
	}{
		{"after the longest time, or up to a tenth earlier", nil, time.Time{}, 53 * time.Minute, time.Hour},
		{"with its certificate", nil, start.Add(10 * time.Minute), 10*time.Minute - time.Second, 10 * time.Minute},
		{"with its token", token(`{"exp":1000600}`), time.Time{}, 10*time.Minute - time.Second, 10 * time.Minute},
		{"with the first of both", token(`{"exp":1000600.5}`), start.Add(5 * time.Minute), 5*time.Minute - time.Second, 5 * time.Minute},
		{"a certificate that outlives it changes nothing", nil, start.Add(24 * time.Hour), 53 * time.Minute, time.Hour},
		{"a token without an end", token(`{"sub":"x"}`), time.Time{}, 53 * time.Minute, time.Hour},
		{"a token that is no JWT", http.Header{"Authorization": {"Bearer a.b.c"}}, time.Time{}, 53 * time.Minute, time.Hour},
		{"a password", http.Header{"Authorization": {"Basic YTpi"}}, time.Time{}, 53 * time.Minute, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, now, ctx := openWatches(t, &identity{name: "alice", code: http.StatusOK}, tc.headers, tc.certificate)
			look(t, w, now, tc.lasts)
			if ctx.Err() != nil {
				t.Fatalf("ended after %s: %v", tc.lasts, context.Cause(ctx))
			}
			look(t, w, now, tc.ends-tc.lasts)
			if !errors.Is(context.Cause(ctx), errWatchExpired) {
				t.Errorf("after %s: %v", tc.ends, context.Cause(ctx))
			}
		})
	}
}

func TestOnlyCredentialsOfAWatchAreKept(t *testing.T) {
	kept := credentialsOf(nil)(http.Header{
		"Authorization": {"Bearer x"}, "Impersonate-User": {"bob"}, "Impersonate-Extra-Scopes": {"a", "b"}, "Cookie": {"large"}, "Accept": {"*/*"}, "X-Remote-User": {"admin"},
	})
	if len(kept) != 3 || len(kept["Impersonate-Extra-Scopes"]) != 2 {
		t.Errorf("kept %v", kept)
	}
}

// BenchmarkPass measures the pass over the watches of a large fleet, once a second.
func BenchmarkPass(b *testing.B) {
	now := clocktesting.NewFakeClock(time.Unix(1_000_000, 0))
	w := newWatchLifetimes(WatchLimits{MaxDuration: time.Hour, RecheckInterval: time.Minute}, now)
	for range 10_000 {
		w.admit(&openWatch{request: &http.Request{Header: http.Header{}}})
	}
	for b.Loop() {
		w.pass(now.Now())
	}
}
