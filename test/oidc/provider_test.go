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
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	example "github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/gatehouse-dev/gatehouse/test/browser"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	// client is a public client of the provider, and the audience of its tokens.
	client = "gatehouse"
	// confidential is a client with a secret.
	confidential, secret = "gatehouse-confidential", "s3cr3t-of-the-client"
	// elsewhere is a client that permits another redirect URL.
	elsewhere = "gatehouse-elsewhere"
	password  = "pa55word-of-the-user"
	// lifetime is that of ID tokens, unless a test sets another.
	lifetime = time.Hour
)

// groups are the users, and the groups that the provider sends with the scope "groups".
var groups = map[string][]string{"ada": {"developers", "staff"}, "bob": {"staff"}}

// provider is a running provider.
type provider struct {
	// url is its address and the issuer of its tokens.
	url string
	// ca is its certificate in PEM.
	ca      string
	handler http.Handler
	store   *store
	// port is that of the redirect URL of the confidential client.
	port int

	mu       sync.Mutex
	down     bool
	requests map[string]int
	// groups is the token that /groups returns, for distributed claims.
	groups string
}

// startProvider starts a provider that ends with the test.
func startProvider(t *testing.T) *provider {
	t.Helper()
	address, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, address)
	p.listen(t)
	return p
}

// newProvider returns a provider that does not listen yet.
func newProvider(t *testing.T, address string) *provider {
	t.Helper()
	port, err := kit.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{url: "https://" + address, port: port, requests: map[string]int{}}
	clients := map[string]*example.Client{
		client:       example.NativeClient(client, "http://127.0.0.1/callback"),
		confidential: example.WebClient(confidential, secret, "http://127.0.0.1:"+strconv.Itoa(p.port)+"/callback"),
		elsewhere:    example.NativeClient(elsewhere, "http://127.0.0.1/elsewhere"),
	}
	p.store = &store{Storage: example.NewStorageWithClients(users{}, clients), lifetime: lifetime}
	p.store.rotate(newKey(t, "first"))
	p.handler = exampleop.SetupServer(p.url, p.store, nil, false)
	return p
}

// listen serves at the address until the test ends.
func (p *provider) listen(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", strings.TrimPrefix(p.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(p)
	server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	p.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests[r.URL.Path]++
	down, distributed := p.down, p.groups
	p.mu.Unlock()
	switch {
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	case r.URL.Path == "/groups":
		fmt.Fprint(w, distributed)
		return
	}
	p.handler.ServeHTTP(w, r)
}

// setDown makes every request fail, or succeed again.
func (p *provider) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// setGroups sets the token that /groups returns.
func (p *provider) setGroups(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups = token
}

// count returns the number of requests for a path.
func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

// user returns a user at a browser.
func (p *provider) user(t *testing.T, name string) browser.User {
	return browser.User{Name: name, Password: password, CA: p.ca, Log: t.TempDir() + "/browser.log"}
}

// entry returns the provider's entry in an AuthenticationConfiguration.
func (p *provider) entry(prefix, more string) string {
	return fmt.Sprintf(`- issuer:
    url: %s
    audiences: [%s, %s]
    audienceMatchPolicy: MatchAny
    certificateAuthority: |
      %s
  claimMappings:
    username: {claim: sub, prefix: %q}
    groups: {claim: groups, prefix: %q}
%s`, p.url, client, confidential, strings.ReplaceAll(strings.TrimSpace(p.ca), "\n", "\n      "), prefix, prefix, more)
}

// users is the list of users: the ID is the name.
type users struct{}

func (users) GetUserByID(id string) *example.User {
	if _, ok := groups[id]; !ok {
		return nil
	}
	return &example.User{ID: id, Username: id, Password: password}
}

func (u users) GetUserByUsername(name string) *example.User { return u.GetUserByID(name) }
func (users) ExampleClientID() string                       { return example.ServiceUserID }

// store is the example's storage with groups, keys that rotate, and device flow for every client.
type store struct {
	*example.Storage

	mu       sync.Mutex
	keys     []*key // the first signs; all are published
	lifetime time.Duration
}

// key implements op.SigningKey and, as public, op.Key.
type key struct {
	id      string
	private *rsa.PrivateKey
}

func newKey(t *testing.T, id string) *key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &key{id, private}
}

func (k *key) ID() string                                  { return k.id }
func (k *key) Key() any                                    { return k.private }
func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

type public struct{ *key }

func (k public) Key() any                           { return &k.private.PublicKey }
func (k public) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k public) Use() string                        { return "sig" }

// rotate signs with the first key, and publishes all.
func (s *store) rotate(keys ...*key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

// setLifetime sets the lifetime of new ID tokens.
func (s *store) setLifetime(lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = lifetime
}

// signing returns the key that signs.
func (s *store) signing() *key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0]
}

// SigningKey implements op.Storage.
func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.signing(), nil }

// KeySet implements op.Storage.
func (s *store) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []op.Key
	for _, k := range s.keys {
		keys = append(keys, public{k})
	}
	return keys, nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest.
func (s *store) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, token op.IDTokenRequest, scopes []string) error {
	if slices.Contains(scopes, "groups") {
		info.AppendClaims("groups", groups[token.GetSubject()])
	}
	return s.Storage.SetUserinfoFromRequest(ctx, info, token, scopes)
}

// GetClientByClientID implements op.Storage.
func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return registered{found, s.lifetime}, nil
}

// registered is a client of the provider.
type registered struct {
	op.Client
	lifetime time.Duration
}

func (c registered) IDTokenLifetime() time.Duration   { return c.lifetime }
func (c registered) IsScopeAllowed(scope string) bool { return scope == "groups" }
func (c registered) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode}
}
