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

package structured

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

// file is an AuthenticationConfiguration on the disk.
type file string

func newFile(t *testing.T, entries ...string) file {
	t.Helper()
	f := file(filepath.Join(t.TempDir(), "authentication.yaml"))
	f.write(t, idp.Header+strings.Join(entries, ""))
	return f
}

func (f file) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(string(f), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// change replaces the entries and applies them as a watch event does.
func (f file) change(t *testing.T, a *Authenticator, entries ...string) {
	t.Helper()
	f.write(t, idp.Header+strings.Join(entries, ""))
	a.reload()
}

func start(t *testing.T, f file) *Authenticator {
	t.Helper()
	a, err := New(t.Context(), Options{
		Path: string(f), DisallowedIssuers: []string{"https://gatehouse"}, Audiences: authenticator.Audiences{"https://gatehouse"}, APIServerID: t.Name(), AnonymousPaths: []string{"/readyz", "/version"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// settled waits until nothing is pending.
func (a *Authenticator) settled(t *testing.T) {
	t.Helper()
	kit.EventuallyState(t, "every issuer is in force", func(context.Context) (bool, string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.pending) == 0, fmt.Sprint(a.failures)
	})
}

// name returns the user of a token, or the error.
func (a *Authenticator) name(t *testing.T, token string) string {
	t.Helper()
	response, ok, err := a.AuthenticateToken(t.Context(), token)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return "not known"
	}
	return strings.Join(slices.Concat([]string{response.User.GetName()}, response.User.GetGroups()), " ")
}

// running returns an authenticator of one issuer with one key.
func running(t *testing.T, more string) (*Authenticator, *idp.Provider, *idp.Key, file) {
	t.Helper()
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	f := newFile(t, provider.Entry("oidc:", more))
	a := start(t, f)
	a.settled(t)
	return a, provider, key, f
}

func TestATokenIsAcceptedOnlyAsItsIssuerSignedIt(t *testing.T) {
	one, two := idp.New(t), idp.New(t)
	// Both issuers name their keys alike.
	key, other, stranger := idp.NewKey(t, "kid"), idp.NewKey(t, "kid"), idp.NewKey(t, "kid")
	one.Publish(key)
	two.Publish(other)
	a := start(t, newFile(t, one.Entry("one:", ""), two.Entry("two:", "")))
	a.settled(t)
	now := time.Now()
	for _, tc := range []struct {
		name, token, want string
	}{
		{"a token of the first issuer", one.Token(t, key, map[string]any{"groups": []string{"dev", "ops"}}), "one:ada one:dev one:ops"},
		{"a token of the second issuer", two.Token(t, other, nil), "two:ada"},
		{"one group as a string", one.Token(t, key, map[string]any{"groups": "dev"}), "one:ada one:dev"},
		{"a token of the first issuer with the second one's key", one.Token(t, other, nil), "failed to verify id token signature"},
		{"a token of the second issuer with the first one's key", two.Token(t, key, nil), "failed to verify id token signature"},
		{"a token with a stranger's key", one.Token(t, stranger, nil), "failed to verify id token signature"},
		{"a token without a signature", idp.Unsigned(t, `{"alg":"none"}`, one.Claims(nil)), `got "none"`},
		{"a token with the public key as the secret", idp.Sign(t, jose.HS256, key.PublicBytes(), "kid", one.Claims(nil)), "unsupported algorithm"},
		{"another audience", one.Token(t, key, map[string]any{"aud": "another"}), `expected audience "gatehouse"`},
		{"several audiences, this one among them", one.Token(t, key, map[string]any{"aud": []string{"another", "gatehouse"}}), "one:ada"},
		{"no audience", one.Token(t, key, map[string]any{"aud": nil}), `expected audience "gatehouse"`},
		{"an expired token", one.Token(t, key, map[string]any{"exp": now.Add(-time.Second).Unix()}), "token is expired"},
		{"no expiry", one.Token(t, key, map[string]any{"exp": nil}), "token is expired"},
		{"a token that is valid within the permitted skew of the clocks", one.Token(t, key, map[string]any{"nbf": now.Add(30 * time.Second).Unix()}), "one:ada"},
		{"a token that is not valid yet", one.Token(t, key, map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}), "before the nbf"},
		{"no user", one.Token(t, key, map[string]any{"sub": nil}), "claim not present"},
		{"an issuer that is not in the file", one.Token(t, key, map[string]any{"iss": "https://elsewhere.example.com"}), "not known"},
		{"an issuer in other letters", one.Token(t, key, map[string]any{"iss": strings.ToUpper(one.URL)}), "not known"},
		{"no token", "secret", "not known"},
		{"an empty token", "", "not known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := a.name(t, tc.token); got != tc.want && (!strings.HasPrefix(got, "error: ") || !strings.Contains(got, tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestATokenNeverNamesUsersAndGroupsOfTheServer(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	a := start(t, newFile(t, provider.Entry("", "")))
	a.settled(t)
	for _, tc := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"an ordinary name", map[string]any{"sub": "ada", "groups": []string{"dev"}}, "ada dev"},
		{"a name that only resembles a reserved one", map[string]any{"sub": "systems:ada"}, "systems:ada"},
		{"a service account", map[string]any{"sub": "system:serviceaccount:kube-system:default"}, "reserved"},
		{"a host", map[string]any{"sub": "system:host:edge-1"}, "reserved"},
		{"a controller", map[string]any{"sub": "system:controller:app-controller"}, "reserved"},
		{"the user without credentials", map[string]any{"sub": "system:anonymous"}, "reserved"},
		{"administrators", map[string]any{"groups": []string{"dev", "system:masters"}}, "reserved"},
		{"hosts", map[string]any{"groups": "system:hosts"}, "reserved"},
		{"an empty name", map[string]any{"sub": ""}, "the username is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := a.name(t, provider.Token(t, key, tc.claims)); got != tc.want && (!strings.HasPrefix(got, "error: ") || !strings.Contains(got, tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRulesInCELDecide(t *testing.T) {
	a, provider, key, _ := running(t, `
  claimValidationRules:
  - {expression: 'claims.hd == "example.com"', message: "another domain"}
  - {claim: env, requiredValue: production}
  userValidationRules:
  - {expression: '!user.username.startsWith("oidc:admin")', message: "administrators use certificates"}
`)
	for _, tc := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"every rule is true", map[string]any{"hd": "example.com", "env": "production"}, "oidc:ada"},
		{"a rule about claims is false", map[string]any{"hd": "example.org", "env": "production"}, "another domain"},
		{"a required value differs", map[string]any{"hd": "example.com", "env": "test"}, "required claim env value does not match"},
		{"a rule about the user is false", map[string]any{"hd": "example.com", "env": "production", "sub": "admin"}, "administrators use certificates"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := a.name(t, provider.Token(t, key, tc.claims)); got != tc.want && (!strings.HasPrefix(got, "error: ") || !strings.Contains(got, tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReviewsGetTheAudiencesOfTheServer(t *testing.T) {
	a, provider, key, _ := running(t, "")
	token := provider.Token(t, key, nil)
	for _, tc := range []struct {
		name   string
		wanted authenticator.Audiences
		want   []string
	}{
		{"the server's audience", authenticator.Audiences{"https://gatehouse", "vault"}, []string{"https://gatehouse"}},
		{"another audience", authenticator.Audiences{"vault"}, nil},
		{"the server's audience again", authenticator.Audiences{"https://gatehouse"}, []string{"https://gatehouse"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			response, ok, err := a.AuthenticateToken(authenticator.WithAudiences(t.Context(), tc.wanted), token)
			if err != nil || ok != (tc.want != nil) {
				t.Fatalf("got %v, %v", ok, err)
			}
			if ok && !slices.Equal(response.Audiences, tc.want) {
				t.Errorf("got %q", response.Audiences)
			}
		})
	}
}

func TestDistributedClaimsAreResolvedAsUpstreamDoes(t *testing.T) {
	a, provider, key, _ := running(t, "")
	groups := provider.Token(t, key, map[string]any{"groups": []string{"far"}})
	provider.SetGroups(groups)
	claims := map[string]any{"_claim_names": map[string]string{"groups": "src"}, "_claim_sources": map[string]any{"src": map[string]string{"endpoint": provider.URL + "/groups"}}}
	kit.EventuallyState(t, "the groups of the other token count", func(context.Context) (bool, string) {
		// The library starts discovery of the issuer of claims with the first token and refuses that.
		got := a.name(t, provider.Token(t, key, claims))
		return got == "oidc:ada oidc:far", got
	})
	provider.SetGroups(provider.Token(t, idp.NewKey(t, "one"), map[string]any{"groups": []string{"far"}}))
	claims["jti"] = "again"
	if got := a.name(t, provider.Token(t, key, claims)); !strings.Contains(got, "could not expand distributed claims") {
		t.Errorf("groups with a wrong signature: %s", got)
	}
}
