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

package oidc

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// claims returns the claims of an ID token of ada, with changes. A nil value removes a claim.
func (p *provider) claims(change map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{"iss": p.url, "aud": client, "sub": "ada", "groups": groups["ada"], "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// sign signs claims with a key of any kind.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, private any, id string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: private, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// token signs claims as the provider does.
func (p *provider) token(t *testing.T, change map[string]any) string {
	t.Helper()
	k := p.store.signing()
	return sign(t, jose.RS256, k.private, k.id, p.claims(change))
}

// unsigned returns a token with alg=none.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(payload) + "."
}

// publicPEM returns the public key as a secret of HMAC would have it.
func (k *key) publicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.private.PublicKey)})
}

// callers sends requests with a token.
func (s *server) callers(t *testing.T) *http.Client {
	t.Helper()
	caller, err := rest.HTTPClientFor(rest.AnonymousClientConfig(s.Config))
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

// who returns the user and groups for a token, or the code of the refusal.
func (s *server) who(ctx context.Context, caller *http.Client, token string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/apis/authentication.k8s.io/v1/selfsubjectreviews",
		strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`))
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := caller.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusCreated {
		return fmt.Sprint(response.StatusCode)
	}
	var review authenticationv1.SelfSubjectReview
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&review); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %v", review.Status.UserInfo.Username, review.Status.UserInfo.Groups)
}

const (
	// accepted is what the server sees of a token of ada.
	accepted = "oidc:ada [oidc:developers oidc:staff system:authenticated]"
	// withoutGroups is the same without groups.
	withoutGroups = "oidc:ada [system:authenticated]"
	refused       = "401"
)

// eventually waits until a token is seen as want.
func (s *server) eventually(t *testing.T, caller *http.Client, what, want string, token func() string) {
	t.Helper()
	kit.EventuallyState(t, what, func(ctx context.Context) (bool, string) {
		got := s.who(ctx, caller, token())
		return got == want, got
	})
}

func TestOnlyTokensThatTheProviderSignedForThisServerAreAccepted(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	caller := s.callers(t)
	s.eventually(t, caller, "the provider's tokens are accepted", accepted, func() string { return p.token(t, nil) })
	k, now := p.store.signing(), time.Now()
	p.setGroups(p.token(t, map[string]any{"groups": []string{"staff"}}))
	source := func(url string) map[string]any {
		return map[string]any{"groups": nil, "_claim_names": map[string]string{"groups": "source"}, "_claim_sources": map[string]any{"source": map[string]string{"endpoint": url}}}
	}
	// The first request for a source has its issuer discovered, as in kube-apiserver.
	const asStaff = "oidc:ada [oidc:staff system:authenticated]"
	resolved := p.token(t, source(p.url+"/groups"))
	s.eventually(t, caller, "the source of groups is known", asStaff, func() string { return resolved })
	for _, tc := range []struct{ name, token, want string }{
		{"a token as the provider signs it", p.token(t, nil), accepted},
		{"another audience", p.token(t, map[string]any{"aud": "vault"}), refused},
		{"this audience among others", p.token(t, map[string]any{"aud": []string{"vault", client}}), accepted},
		{"no audience", p.token(t, map[string]any{"aud": nil}), refused},
		{"another issuer", p.token(t, map[string]any{"iss": "https://sso.example.com"}), refused},
		{"the issuer with a slash", p.token(t, map[string]any{"iss": p.url + "/"}), refused},
		{"alg=none", unsigned(t, p.claims(nil)), refused},
		{"HS256 with the public key in PEM", sign(t, jose.HS256, k.publicPEM(), k.id, p.claims(nil)), refused},
		{"HS256 with the modulus", sign(t, jose.HS256, k.private.N.Bytes(), k.id, p.claims(nil)), refused},
		{"another key with the same ID", sign(t, jose.RS256, newKey(t, k.id).private, k.id, p.claims(nil)), refused},
		{"another algorithm with the same key", sign(t, jose.PS256, k.private, k.id, p.claims(nil)), accepted},
		{"no key ID", sign(t, jose.RS256, k.private, "", p.claims(nil)), accepted},
		{"a provider's clock that is 2 h behind: the token has expired", p.token(t, map[string]any{"iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(-time.Hour).Unix()}), refused},
		{"expired a second ago", p.token(t, map[string]any{"exp": now.Add(-time.Second).Unix()}), refused},
		{"no expiry", p.token(t, map[string]any{"exp": nil}), refused},
		{"a provider's clock that is 30 s ahead", p.token(t, map[string]any{"iat": now.Add(30 * time.Second).Unix(), "nbf": now.Add(30 * time.Second).Unix()}), accepted},
		{"a provider's clock that is 10 min ahead", p.token(t, map[string]any{"nbf": now.Add(10 * time.Minute).Unix()}), refused},
		{"a user of the server's", p.token(t, map[string]any{"sub": "system:admin", "groups": []string{"system:masters"}}), "oidc:system:admin [oidc:system:masters system:authenticated]"},
		{"no groups", p.token(t, map[string]any{"groups": nil}), withoutGroups},
		{"groups of another type", p.token(t, map[string]any{"groups": map[string]string{"a": "b"}}), refused},
		{"distributed groups are resolved", resolved, asStaff},
		{"distributed groups without a source", p.token(t, source(p.url+"/nothing")), refused},
		{"distributed groups over http", p.token(t, source(strings.Replace(p.url, "https", "http", 1)+"/groups")), refused},
		{"64 KiB", p.token(t, map[string]any{"more": strings.Repeat("x", 64<<10)}), refused},
		{"1 MB", p.token(t, map[string]any{"more": strings.Repeat("x", 740<<10)}), refused},
		{"not a token", "not.a.token", refused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.who(t.Context(), caller, tc.token); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if got := s.who(t.Context(), caller, p.token(t, nil)); got != accepted {
		t.Errorf("afterwards: %s", got)
	}
}

func TestTwoIssuersWithTheSameKeyIDAreNotConfused(t *testing.T) {
	t.Parallel()
	first, second := startProvider(t), startProvider(t)
	s := startServer(t, first.entry("oidc:", "")+second.entry("second:", ""))
	caller := s.callers(t)
	if first.store.signing().id != second.store.signing().id {
		t.Fatal("the key IDs differ")
	}
	s.eventually(t, caller, "the first issuer is ready", accepted, func() string { return first.token(t, nil) })
	s.eventually(t, caller, "the second issuer is ready", "second:ada [second:developers second:staff system:authenticated]", func() string { return second.token(t, nil) })
	for name, token := range map[string]string{
		"a token of the first that names the second": first.token(t, map[string]any{"iss": second.url}),
		"a token of the second that names the first": second.token(t, map[string]any{"iss": first.url}),
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.who(t.Context(), caller, token); got != refused {
				t.Errorf("got %s", got)
			}
		})
	}
}
