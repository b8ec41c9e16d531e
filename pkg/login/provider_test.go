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

package login

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"

	"github.com/gatehouse-dev/gatehouse/test/browser"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

// fake is a provider that breaks rules as a test wants. Without changes it logs "ada" in without a form.
type fake struct {
	url, ca string
	private *ecdsa.PrivateKey

	// discovery, claims and callback change the discovery document, the claims of ID tokens and the parameters of the
	// redirect to the client. A nil value removes one.
	discovery, claims, callback map[string]any
	// token, if not nil, takes the place of the token endpoint.
	token http.HandlerFunc

	mu       sync.Mutex
	nonce    string
	requests map[string]url.Values
}

func newFake(t *testing.T) *fake {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{private: private, requests: map[string]url.Values{}}
	server := httptest.NewTLSServer(f.handler(t))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return f
}

// change returns the values with changes.
func change(values, changes map[string]any) map[string]any {
	maps.Copy(values, changes)
	maps.DeleteFunc(values, func(_ string, value any) bool { return value == nil })
	return values
}

func (f *fake) handler(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, change(map[string]any{
			"issuer": f.url, "jwks_uri": f.url + "/keys", "authorization_endpoint": f.url + "/auth", "token_endpoint": f.url + "/token",
			"device_authorization_endpoint": f.url + "/device", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		}, f.discovery))
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &f.private.PublicKey, KeyID: "1"}}})
	})
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		query := f.record(r)
		f.mu.Lock()
		f.nonce = query.Get("nonce")
		f.mu.Unlock()
		back := url.Values{}
		for name, value := range change(map[string]any{"code": "the-code", "state": query.Get("state")}, f.callback) {
			back.Set(name, fmt.Sprint(value))
		}
		http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	mux.HandleFunc("/device", func(w http.ResponseWriter, r *http.Request) {
		f.record(r)
		answer(w, map[string]any{"device_code": "the-device-code", "user_code": "ABCD-\x1b[2JEFGH", "verification_uri": f.url + "/enter", "interval": 1, "expires_in": 60})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		f.record(r)
		if f.token != nil {
			f.token(w, r)
			return
		}
		answer(w, map[string]any{"access_token": "the-access-token", "refresh_token": "the-refresh-token", "token_type": "Bearer", "expires_in": 300, "id_token": f.idToken(t)})
	})
	return mux
}

// record keeps the parameters of the last request for a path.
func (f *fake) record(r *http.Request) url.Values {
	_ = r.ParseForm()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[r.URL.Path] = r.Form
	return r.Form
}

func (f *fake) last(path string) url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[path]
}

func (f *fake) idToken(t *testing.T) string {
	f.mu.Lock()
	nonce := f.nonce
	f.mu.Unlock()
	now := time.Now()
	return idp.Sign(t, jose.ES256, f.private, "1", change(map[string]any{
		"iss": f.url, "aud": "gatehouse", "sub": "ada", "nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, f.claims))
}

// options returns options for the provider, with a cache of the test.
func (f *fake) options(t *testing.T) *Options {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(f.ca), 0o600); err != nil {
		t.Fatal(err)
	}
	o := NewOptions()
	o.Issuer, o.ClientID, o.CAFile, o.CacheDir, o.NoBrowser, o.Timeout = f.url, "gatehouse", ca, filepath.Join(t.TempDir(), "cache"), true, time.Minute
	return o
}

// visitor is a terminal whose user opens the first link.
type visitor struct {
	t     *testing.T
	ctx   context.Context
	user  browser.User
	visit func(ctx context.Context, link string) error

	mu   sync.Mutex
	text bytes.Buffer
	once sync.Once
	done sync.WaitGroup
}

// Write implements io.Writer.
func (v *visitor) Write(data []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text.Write(data)
	if _, after, found := strings.Cut(v.text.String(), "open http://"); found {
		link, _, _ := strings.Cut(after, " ")
		v.once.Do(func() {
			v.done.Go(func() {
				if err := v.visit(v.ctx, "http://"+link); err != nil {
					v.t.Errorf("the browser: %v", err)
				}
			})
		})
	}
	return len(data), nil
}

// logIn gets a credential, and a user opens the link with a browser or by visit. It returns what the user saw in the terminal.
func (f *fake) logIn(t *testing.T, o *Options, visit func(ctx context.Context, link string) error) (Credential, string, error) {
	t.Helper()
	v := &visitor{t: t, ctx: t.Context(), user: browser.User{CA: f.ca}, visit: visit}
	if visit == nil {
		v.visit = func(ctx context.Context, link string) error {
			_, err := v.user.Visit(ctx, link)
			return err
		}
	}
	credential, err := o.Credential(t.Context(), 0, v)
	v.done.Wait()
	return credential, v.text.String(), err
}
