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

package authentication

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// reviewer is a service that reviews tokens: the token is the user's name.
type reviewer struct {
	reviews          atomic.Int32
	down, redirected atomic.Bool
	version          atomic.Value
}

func (r *reviewer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.reviews.Add(1)
	if request.URL.Path == "/second" {
		r.redirected.Store(true)
	}
	if r.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	var review authenticationv1.TokenReview
	_ = json.NewDecoder(request.Body).Decode(&review)
	r.version.Store(review.APIVersion)
	name := review.Spec.Token
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: name != "refused", User: authenticationv1.UserInfo{Username: name, Groups: []string{"remote"}}}
	if name == "group" {
		review.Status.User.Groups = []string{anonymousGroup}
	}
	switch name {
	case "nameless":
		review.Status.User.Username = ""
	case "administrator":
		review.Status.User.Groups = []string{"system:masters"}
	case "large":
		review.Status.User.Groups = []string{strings.Repeat("x", 2<<20)}
	case "elsewhere":
		http.Redirect(w, request, "/second", http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

func startReviewer(t *testing.T, ttl time.Duration) (*reviewer, authenticator.Token) {
	t.Helper()
	r := &reviewer{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(kit.ServiceKubeconfig(server)), 0o600); err != nil {
		t.Fatal(err)
	}
	webhook, err := tokenWebhook(kubeconfig, authenticator.Audiences{"api"}, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return r, webhook
}

func TestATokenWebhookReviewsTokens(t *testing.T) {
	r, webhook := startReviewer(t, time.Minute)
	for _, tc := range []struct{ name, token, user, err string }{
		{"a token that the service accepts", "rita", "rita", ""},
		{"a token that the service refuses", "refused", "", ""},
		{"the user without credentials", anonymousUser, "", "reserved for requests without credentials"},
		{"the group without credentials", "group", "", "reserved for requests without credentials"},
		{"no user", "nameless", "", "names no user"},
		{"an administrator, as in Kubernetes", "administrator", "administrator", ""},
		{"a response of 2 MiB", "large", "", "the response is larger than 1048576 bytes"},
		{"a redirect", "elsewhere", "", "redirects are not followed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			response, ok, err := webhook.AuthenticateToken(t.Context(), tc.token)
			if ok != (tc.user != "") || (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("got %v, %v, %v", response, ok, err)
			}
			if ok && response.User.GetName() != tc.user {
				t.Errorf("got %v", response.User)
			}
		})
	}
	if r.redirected.Load() {
		t.Error("the token was sent to the address of the redirect")
	}
	if got := r.version.Load(); got != "authentication.k8s.io/v1" {
		t.Errorf("reviews are %v", got)
	}
}

func TestReviewsOfATokenWebhookAreCachedAndErrorsAreNot(t *testing.T) {
	r, webhook := startReviewer(t, time.Minute)
	authenticate := func(token string) (ok bool, err error) {
		_, ok, err = webhook.AuthenticateToken(t.Context(), token)
		return ok, err
	}
	for range 2 {
		if ok, err := authenticate("rita"); !ok || err != nil {
			t.Fatal(err)
		}
		if ok, err := authenticate("refused"); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if got := r.reviews.Load(); got != 2 {
		t.Errorf("%d reviews of 2 tokens", got)
	}
	r.down.Store(true)
	if ok, err := authenticate("rita"); !ok || err != nil {
		t.Errorf("a known token while the service is down: %v, %v", ok, err)
	}
	if ok, err := authenticate("rose"); ok || err == nil {
		t.Errorf("an unknown token while the service is down: %v, %v", ok, err)
	}
	r.down.Store(false)
	if ok, err := authenticate("rose"); !ok || err != nil {
		t.Errorf("the same token afterwards: %v, %v", ok, err)
	}
}

func TestLongTokensReachNoAuthenticator(t *testing.T) {
	var called []int
	record := authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
		called = append(called, len(token))
		return nil, false, nil
	})
	_, tokens := NewStandalone(Standalone{ClientCA: provider(t, newAuthority(t, "users")), TokenFile: record, ServiceAccounts: record, OIDC: record, Webhook: record})
	for _, tc := range []struct {
		name   string
		length int
		called int
	}{
		{"the longest", longestToken, 4},
		{"one byte more", longestToken + 1, 0},
		{"1 MB", 1 << 20, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			called = nil
			_, ok, err := tokens.AuthenticateToken(t.Context(), strings.Repeat("x", tc.length))
			if ok || (err != nil) != (tc.called == 0) || len(called) != tc.called {
				t.Errorf("%d authenticators were called: %v", len(called), err)
			}
		})
	}
}
