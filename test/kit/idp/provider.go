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

package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"
)

// Audience is the audience of tokens that do not name one.
const Audience = "gatehouse"

// Provider is a running provider.
type Provider struct {
	// URL is its address and the issuer of its tokens.
	URL string
	// CA is its certificate in PEM.
	CA string

	server *httptest.Server

	mu       sync.Mutex
	keys     []*Key
	down     bool
	hold     chan struct{}
	held     chan struct{}
	requests map[string]int
	groups   string
}

// Key signs tokens.
type Key struct {
	id      string
	private *ecdsa.PrivateKey
}

// New starts a provider that ends with the test. It publishes no key.
func New(t testing.TB) *Provider {
	t.Helper()
	p := Start()
	t.Cleanup(p.Close)
	return p
}

// Start starts a provider that publishes no key, for programs that are no tests.
func Start() *Provider {
	p := &Provider{requests: map[string]int{}}
	p.server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	p.URL = p.server.URL
	p.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
	return p
}

// Close ends the provider.
func (p *Provider) Close() {
	p.Release()
	p.server.Close()
}

// NewKey returns a key that is not published.
func NewKey(t testing.TB, id string) *Key {
	t.Helper()
	key, err := GenerateKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// GenerateKey is NewKey for programs that are no tests.
func GenerateKey(id string) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Key{id: id, private: private}, err
}

// Public returns the public key.
func (k *Key) Public() *ecdsa.PublicKey { return &k.private.PublicKey }

// Publish replaces the published keys.
func (p *Provider) Publish(keys ...*Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// SetDown makes every request fail, or succeed again.
func (p *Provider) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Hold makes requests for keys wait until Release. The result is closed when the first one waits.
func (p *Provider) Hold() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold, p.held = make(chan struct{}), make(chan struct{})
	return p.held
}

// Release ends Hold.
func (p *Provider) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold != nil {
		close(p.hold)
		p.hold = nil
	}
}

// Requests returns the number of requests for a path.
func (p *Provider) Requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

// SetGroups sets the token that /groups returns, for distributed claims.
func (p *Provider) SetGroups(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups = token
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests[r.URL.Path]++
	down, keys, groups, hold := p.down, p.keys, p.groups, p.hold
	if hold != nil && r.URL.Path == "/keys" && p.held != nil {
		close(p.held)
		p.held = nil
	}
	p.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token"})
	case "/keys":
		if hold != nil {
			<-hold
		}
		set := jose.JSONWebKeySet{}
		for _, key := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: key.id, Use: "sig", Algorithm: string(jose.ES256)})
		}
		answer(w, set)
	case "/groups":
		_, _ = w.Write([]byte(groups))
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// Claims returns the claims of a valid token of the user "ada", with changes. A nil value removes a claim.
func (p *Provider) Claims(change map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{"iss": p.URL, "aud": Audience, "sub": "ada", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// Token signs the claims of Claims.
func (p *Provider) Token(t testing.TB, key *Key, change map[string]any) string {
	t.Helper()
	return Sign(t, jose.ES256, key.private, key.id, p.Claims(change))
}

// Signed is Token for programs that are no tests.
func (p *Provider) Signed(key *Key, change map[string]any) (string, error) {
	return sign(jose.ES256, key.private, key.id, p.Claims(change))
}

// Sign signs claims.
func Sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	token, err := sign(algorithm, key, id, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func sign(algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Header begins an AuthenticationConfiguration, before the results of Entry.
const Header = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"

// Entry returns the provider's entry in an AuthenticationConfiguration. Each user and group is the claim
// sub or groups with the prefix; more are lines of YAML with an indentation of 2.
func (p *Provider) Entry(prefix, more string) string {
	authority := strings.ReplaceAll(strings.TrimSpace(p.CA), "\n", "\n      ")
	return fmt.Sprintf(`- issuer:
    url: %s
    audiences: [%s]
    certificateAuthority: |
      %s
  claimMappings:
    username: {claim: sub, prefix: %q}
    groups: {claim: groups, prefix: %q}
%s`, p.URL, Audience, authority, prefix, prefix, more)
}
