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
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"
)

func TestIssuedTokensAreAccepted(t *testing.T) {
	web := &metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web-1"}
	for _, tc := range []struct {
		name  string
		keys  *Keys
		grant Grant
		claim map[string]any // of kubernetes.io, besides namespace and account
	}{
		{"a plain token", readKeys(t, newECKey(t, elliptic.P256())), Grant{}, nil},
		{"one for the longest time", readKeys(t, newECKey(t, elliptic.P256())), Grant{Lifetime: (1 << 32) * time.Second}, nil},
		{"one bound to a secret", readKeys(t, newECKey(t, elliptic.P256())), Grant{Secret: &Reference{Name: "vault", UID: "vault-1"}}, map[string]any{"secret": map[string]any{"name": "vault", "uid": "vault-1"}}},
		{"one bound to an instance", readKeys(t, newECKey(t, elliptic.P256())), Grant{Instance: &Reference{Name: "web-0", UID: "web-0-1"}}, map[string]any{"instance": map[string]any{"name": "web-0", "uid": "web-0-1"}}},
		{"one of a larger curve", readKeys(t, newECKey(t, elliptic.P521())), Grant{}, nil},
		{"one of an RSA key", readKeys(t, newRSAKey(t)), Grant{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.grant.Account, tc.grant.Audiences = web, []string{"api"}
			if tc.grant.Lifetime == 0 {
				tc.grant.Lifetime = time.Hour
			}
			issuer, err := NewIssuer(testIssuer, tc.keys, testingclock.NewFakePassiveClock(noon))
			if err != nil {
				t.Fatal(err)
			}
			issued, err := issuer.Issue(tc.grant)
			if err != nil {
				t.Fatal(err)
			}
			authn, _ := newAuthenticator(tc.keys, newWorld())
			expect(t, authn, issued.Token, "")

			parsed, err := jwt.ParseSigned(issued.Token)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]any{}
			if err := parsed.Claims(tc.keys.all[0].Key, &got); err != nil {
				t.Fatal(err)
			}
			own := map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "web", "uid": "web-1"}}
			for claim, value := range tc.claim {
				own[claim] = value
			}
			want := map[string]any{
				"iss": testIssuer, "aud": []any{"api"}, "sub": "system:serviceaccount:shop:web", "jti": issued.ID,
				"iat": float64(noon.Unix()), "nbf": float64(noon.Unix()), "exp": float64(noon.Add(tc.grant.Lifetime).Unix()),
				"kubernetes.io": own,
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if issued.ID == "" || !issued.Expires.Equal(noon.Add(tc.grant.Lifetime)) {
				t.Errorf("got %q until %s", issued.ID, issued.Expires)
			}
		})
	}
}

func TestATokenIsBoundToOneObjectAtMost(t *testing.T) {
	issuer, err := NewIssuer(testIssuer, readKeys(t, newECKey(t, elliptic.P256())), testingclock.NewFakePassiveClock(noon))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.Issue(Grant{Account: &metav1.ObjectMeta{}, Secret: &Reference{}, Instance: &Reference{}}); err == nil {
		t.Error("a token is bound to two objects")
	}
}

func TestTheNextKeyIsAnnouncedAndThePreviousOneStillCounts(t *testing.T) {
	before, after := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P256())
	token := craft(t, jose.ES256, before, idOf(t, before), payload(nil))
	for name, tc := range map[string]struct {
		keys   *Keys
		refuse string
	}{
		"before":                {readKeys(t, before), ""},
		"the next is announced": {readKeys(t, before, after), ""},
		"the next signs":        {readKeys(t, after, before), ""},
		"the old one is gone":   {readKeys(t, after), "key that is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			authn, _ := newAuthenticator(tc.keys, newWorld())
			expect(t, authn, token, tc.refuse)
		})
	}
}

func TestDiscoveryNamesTheKeysAndNothingPrivate(t *testing.T) {
	signing, older, rsaKey := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P256()), newRSAKey(t)
	discovery, err := NewDiscovery(testIssuer, "https://10.0.0.1:6443"+KeySetPath, readKeys(t, signing, older, rsaKey))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	discovery.Install(mux)
	get := func(method, path, mediaType string, into any) {
		t.Helper()
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
		if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != mediaType || answer.Header().Get("Cache-Control") != "public, max-age=3600" {
			t.Fatalf("%s: %d %v", path, answer.Code, answer.Header())
		}
		if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
			t.Fatal(err)
		}
	}
	configuration := map[string]any{}
	get(http.MethodGet, OpenIDConfigurationPath, "application/json", &configuration)
	want := map[string]any{
		"issuer": testIssuer, "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks",
		"response_types_supported": []any{"id_token"}, "subject_types_supported": []any{"public"},
		"id_token_signing_alg_values_supported": []any{"ES256", "RS256"},
	}
	if !reflect.DeepEqual(configuration, want) {
		t.Errorf("got %v, want %v", configuration, want)
	}
	set := jose.JSONWebKeySet{}
	get(http.MethodGet, KeySetPath, "application/jwk-set+json", &set)
	if len(set.Keys) != 3 {
		t.Errorf("got %v", set.Keys)
	}
	for _, key := range set.Keys {
		if !key.IsPublic() || !key.Valid() {
			t.Errorf("%s is not public", key.KeyID)
		}
	}
	// The published keys verify tokens of the server.
	parsed, err := jwt.ParseSigned(craft(t, jose.ES256, signing, idOf(t, signing), payload(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(&set, &jwt.Claims{}); err != nil {
		t.Errorf("a token cannot be verified with what discovery want: %v", err)
	}

	refused := httptest.NewRecorder()
	mux.ServeHTTP(refused, httptest.NewRequest(http.MethodPost, KeySetPath, nil))
	if refused.Code != http.StatusMethodNotAllowed {
		t.Errorf("a write: %d", refused.Code)
	}
}

func TestAnIssuerThatIsNoURLHasNoDiscovery(t *testing.T) {
	keys := readKeys(t, newECKey(t, elliptic.P256()))
	for _, issuer := range []string{"", "gatehouse", "http://gatehouse.test", "https://", "https://gatehouse.test?x=1", "https://gatehouse.test#x"} {
		if _, err := NewDiscovery(issuer, "https://10.0.0.1"+KeySetPath, keys); err == nil || !strings.Contains(err.Error(), "https://host/path") {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	if _, err := NewDiscovery(testIssuer, "http://10.0.0.1", keys); err == nil {
		t.Error("keys are announced under a URL without TLS")
	}
}
