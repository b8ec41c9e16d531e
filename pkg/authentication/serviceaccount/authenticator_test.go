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

package serviceaccount

import (
	"crypto/elliptic"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

func TestTokensAreValidForTheirClaimsOnly(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	keys := readKeys(t, key)
	ours := func(t *testing.T, change map[string]any) string {
		return craft(t, jose.ES256, key, idOf(t, key), payload(change))
	}
	for _, tc := range []struct {
		name    string
		payload map[string]any
		world   func(world)
		at      time.Duration // since noon
		refuse  string        // empty: it is valid
	}{
		{name: "a good token is good"},
		{name: "within the leeway before it begins", at: -leeway},
		{name: "before it begins", at: -leeway - time.Second, refuse: "not valid before 2026-03-01T12:00:00Z"},
		{name: "within the leeway after it ends", at: time.Hour + leeway},
		{name: "after it has ended", at: time.Hour + leeway + time.Second, refuse: "expired at 2026-03-01T13:00:00Z"},
		{name: "issued in the future", payload: map[string]any{"iat": noon.Add(2 * leeway).Unix()}, refuse: "yet to come"},
		{name: "of an older issuer that still counts", payload: map[string]any{"iss": "https://older.test"}},
		{name: "for one of several audiences", payload: map[string]any{"aud": []string{"vault", "api"}}},
		{name: "an audience that is a string and no list", payload: map[string]any{"aud": "api"}},
		{name: "for another audience", payload: map[string]any{"aud": []string{"vault"}}, refuse: `is for the audiences ["vault"]`},
		{name: "an account that is gone", world: gone("serviceaccount/shop/web"), refuse: "service account shop/web"},
		{name: "an account recreated", world: recreated("serviceaccount/shop/web"), refuse: "was recreated"},
		{name: "an account deleted a moment ago", world: deletedAt("serviceaccount/shop/web", noon.Add(-leeway))},
		{name: "an account deleted longer ago", world: deletedAt("serviceaccount/shop/web", noon.Add(-leeway-time.Second)), refuse: "service account shop/web is being deleted"},
		{name: "a namespace that is gone", world: gone("namespace//shop"), refuse: "namespace shop"},
		{name: "a namespace recreated is no namespace of the old account's", world: func(w world) { recreated("namespace//shop")(w); gone("serviceaccount/shop/web")(w) }, refuse: "service account shop/web"},
		{name: "a namespace that began to end a moment ago", world: deletedAt("namespace//shop", noon.Add(-leeway))},
		{name: "a namespace that began to end longer ago", world: deletedAt("namespace//shop", noon.Add(-leeway-time.Second)), refuse: "namespace shop is being deleted"},
		{name: "no account at all", payload: map[string]any{"kubernetes.io": nil}, refuse: "names no service account"},
		{name: "no namespace", payload: map[string]any{"kubernetes.io": map[string]any{"serviceaccount": map[string]any{"name": "web", "uid": "web-1"}}}, refuse: "names no service account"},
		{name: "no UID", payload: map[string]any{"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "web"}}}, refuse: "was recreated"},
		{name: "the claims of old, that name a secret and no UID", payload: map[string]any{"kubernetes.io": nil, "kubernetes.io/serviceaccount/namespace": "shop", "kubernetes.io/serviceaccount/service-account.name": "web"}, refuse: "names no service account"},
		{name: "bound to a secret", payload: bound("secret", "vault", "vault-1")},
		{name: "bound to a secret that is gone", payload: bound("secret", "vault", "vault-1"), world: gone("secret/shop/vault"), refuse: "secret shop/vault"},
		{name: "bound to a secret recreated", payload: bound("secret", "vault", "vault-1"), world: recreated("secret/shop/vault"), refuse: "was recreated"},
		{name: "bound to a secret being deleted", payload: bound("secret", "vault", "vault-1"), world: deletedAt("secret/shop/vault", noon.Add(-2*leeway)), refuse: "secret shop/vault is being deleted"},
		{name: "bound to an instance", payload: bound("instance", "web-0", "web-0-1")},
		{name: "bound to an instance that has its grace period yet", payload: bound("instance", "web-0", "web-0-1"), world: deletedAt("instance/shop/web-0", noon.Add(30*time.Second))},
		{name: "bound to an instance that is gone", payload: bound("instance", "web-0", "web-0-1"), world: gone("instance/shop/web-0"), refuse: "instance shop/web-0"},
		{name: "bound to an instance recreated", payload: bound("instance", "web-0", "web-0-1"), world: recreated("instance/shop/web-0"), refuse: "was recreated"},
		{name: "bound to an instance that should have ended", payload: bound("instance", "web-0", "web-0-1"), world: deletedAt("instance/shop/web-0", noon.Add(-2*leeway)), refuse: "instance shop/web-0 is being deleted"},
		{name: "bound to a pod, which is not served here", payload: bound("pod", "web-0", "web-0-1"), refuse: "bound to a Pod"},
		{name: "bound to a node", payload: bound("node", "edge", "1"), refuse: "bound to a Node"},
		{name: "bound to a webhook", payload: bound("validatingwebhookconfiguration", "w", "1"), refuse: "bound to a ValidatingWebhookConfiguration"},
		{name: "bound to another webhook", payload: bound("mutatingwebhookconfiguration", "w", "1"), refuse: "bound to a MutatingWebhookConfiguration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			if tc.world != nil {
				tc.world(w)
			}
			authn, clock := newAuthenticator(keys, w)
			clock.SetTime(noon.Add(tc.at))
			token := ours(t, tc.payload)
			// The second time the signature is cached, and nothing else.
			for range 2 {
				expect(t, authn, token, tc.refuse)
			}
		})
	}
}

// expect expects a token to be valid, or to be refused with an error that does not contain it.
func expect(t *testing.T, authn *Authenticator, token, refuse string) {
	t.Helper()
	answer, ok, err := authn.AuthenticateToken(t.Context(), token)
	if refuse == "" {
		if err != nil || !ok || answer.User.GetName() != "system:serviceaccount:shop:web" {
			t.Errorf("a good token is refused: %v, %v", answer, err)
		}
		return
	}
	if ok || answer != nil || err == nil || !strings.Contains(err.Error(), refuse) {
		t.Errorf("got %v, %v, want an error with %q", answer, err, refuse)
		return
	}
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error holds a part of the token: %v", err)
		}
	}
}

func TestADeletedObjectInvalidatesATokenThatWasJustAccepted(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	token := craft(t, jose.ES256, key, idOf(t, key), payload(bound("instance", "web-0", "web-0-1")))
	for name, end := range map[string]func(world){
		"account":           gone("serviceaccount/shop/web"),
		"account recreated": recreated("serviceaccount/shop/web"),
		"namespace":         gone("namespace//shop"),
		"bound object":      gone("instance/shop/web-0"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			authn, _ := newAuthenticator(readKeys(t, key), w)
			expect(t, authn, token, "")
			end(w)
			expect(t, authn, token, "the ")
		})
	}
	t.Run("time", func(t *testing.T) {
		authn, clock := newAuthenticator(readKeys(t, key), newWorld())
		expect(t, authn, token, "")
		clock.Step(2 * time.Hour)
		expect(t, authn, token, "expired")
	})
}

func TestReviewsMayHaveOtherAudiences(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	authn, _ := newAuthenticator(readKeys(t, key), newWorld())
	for _, tc := range []struct {
		name   string
		of     any // nil for none
		wanted []string
		got    authenticator.Audiences // none: refused
	}{
		{"the requested audience", []string{"vault"}, []string{"vault"}, authenticator.Audiences{"vault"}},
		{"the requested ones of several", []string{"vault", "db", "api"}, []string{"db", "vault"}, authenticator.Audiences{"db", "vault"}},
		{"another", []string{"vault"}, []string{"db"}, nil},
		{"ours does not do for others", []string{"api"}, []string{"vault"}, nil},
		{"a token without audience is for this server", nil, []string{"api"}, authenticator.Audiences{"api"}},
		{"a token without audience is not for others", nil, []string{"vault"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token := craft(t, jose.ES256, key, "", payload(map[string]any{"aud": tc.of}))
			answer, ok, err := authn.AuthenticateToken(authenticator.WithAudiences(t.Context(), tc.wanted), token)
			if ok != (tc.got != nil) || (err == nil) != ok {
				t.Fatalf("got %v, %v", answer, err)
			}
			if ok && !reflect.DeepEqual(answer.Audiences, tc.got) {
				t.Errorf("got %v, want %v", answer.Audiences, tc.got)
			}
		})
	}
}

func TestTheUserIsTheAccountWithTheIDOfTheToken(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	authn, _ := newAuthenticator(readKeys(t, key), newWorld())
	for _, tc := range []struct {
		name    string
		payload map[string]any
		extra   map[string][]string
	}{
		{"a plain token", nil, map[string][]string{
			"authentication.kubernetes.io/credential-id": {"JTI=11111111-2222-3333-4444-555555555555"},
		}},
		{"one bound to an instance", bound("instance", "web-0", "web-0-1"), map[string][]string{
			"authentication.kubernetes.io/credential-id": {"JTI=11111111-2222-3333-4444-555555555555"},
			"fleet.gatehouse.dev/instance-name":          {"web-0"},
			"fleet.gatehouse.dev/instance-uid":           {"web-0-1"},
		}},
		{"one without an ID", map[string]any{"jti": nil}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer, ok, err := authn.AuthenticateToken(t.Context(), craft(t, jose.ES256, key, "", payload(tc.payload)))
			if err != nil || !ok {
				t.Fatal(err)
			}
			user := answer.User
			if user.GetName() != "system:serviceaccount:shop:web" || user.GetUID() != "web-1" {
				t.Errorf("got %s, %s", user.GetName(), user.GetUID())
			}
			if want := []string{"system:serviceaccounts", "system:serviceaccounts:shop"}; !reflect.DeepEqual(user.GetGroups(), want) {
				t.Errorf("got %v, want %v", user.GetGroups(), want)
			}
			if !reflect.DeepEqual(user.GetExtra(), tc.extra) {
				t.Errorf("got %v, want %v", user.GetExtra(), tc.extra)
			}
		})
	}
}
