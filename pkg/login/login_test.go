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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/browser"
)

func TestACodeIsRequestedWithPKCEStateAndNonce(t *testing.T) {
	f := newFake(t)
	o := f.options(t)
	credential, terminal, err := f.logIn(t, o, nil)
	if err != nil || credential.Subject != "ada" {
		t.Fatalf("got %q, %v\n%s", credential.Subject, err, terminal)
	}
	request, exchange := f.last("/auth"), f.last("/token")
	for name, want := range map[string]string{"response_type": "code", "code_challenge_method": "S256", "client_id": "gatehouse", "scope": "openid offline_access"} {
		if got := request.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(request.Get(name)) != 43 { // 32 bytes
			t.Errorf("%s is %q", name, request.Get(name))
		}
	}
	if len(exchange.Get("code_verifier")) != 43 || exchange.Get("code") != "the-code" || exchange.Get("redirect_uri") != request.Get("redirect_uri") {
		t.Errorf("the code is exchanged with %v", exchange)
	}
	if u, err := url.Parse(request.Get("redirect_uri")); err != nil || u.Hostname() != "127.0.0.1" || u.Path != "/callback" {
		t.Errorf("the redirect is to %v, %v", u, err)
	}
	for _, secret := range []string{request.Get("state"), request.Get("nonce"), "the-code", "the-access-token", "the-refresh-token", credential.Token} {
		if strings.Contains(terminal, secret) {
			t.Errorf("the terminal has %q:\n%s", secret, terminal)
		}
	}
}

func TestAResponseThatIsNotOfThisLoginIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name                        string
		discovery, claims, callback map[string]any
		token                       http.HandlerFunc
		want                        string
	}{
		{name: "a token for another client", claims: map[string]any{"aud": "vault"}, want: "--client-id=gatehouse: the ID token is for another client"},
		{name: "a token of another issuer", claims: map[string]any{"iss": "https://sso.example.com"}, want: "issued by a different provider"},
		{name: "a token of another login", claims: map[string]any{"nonce": "another"}, want: "its nonce is not that of this login"},
		{name: "a token without a nonce", claims: map[string]any{"nonce": nil}, want: "its nonce is not that of this login"},
		{name: "an access token of another login", claims: map[string]any{"at_hash": "another"}, want: "access token hash does not match"},
		{name: "a token that has expired", claims: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, want: "synchronize them"},
		{name: "a response of another issuer", callback: map[string]any{"iss": "https://sso.example.com"}, want: `from issuer "https://sso.example.com"`},
		{name: "a response without its issuer", discovery: map[string]any{"authorization_response_iss_parameter_supported": true}, want: `from issuer ""`},
		{name: "a denied login", callback: map[string]any{"code": nil, "error": "access_denied", "error_description": "no\x1b[31m way\n"}, want: "was denied by the user or the provider (access_denied: no[31m way)"},
		{name: "a scope that is refused", callback: map[string]any{"code": nil, "error": "invalid_scope"}, want: "--scopes=offline_access"},
		{name: "a response without a code", callback: map[string]any{"code": nil}, want: "sent no code"},
		{name: "a token endpoint without TLS", discovery: map[string]any{"token_endpoint": "http://sso.example.com/token"}, want: `token_endpoint of the provider is "http://sso.example.com/token"`},
		{name: "a token endpoint that redirects", token: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, want: "307"},
		{name: "a provider without OpenID Connect", token: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"a","token_type":"Bearer"}`)
		}, want: "sent no ID token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t)
			f.discovery, f.claims, f.callback, f.token = tc.discovery, tc.claims, tc.callback, tc.token
			_, _, err := f.logIn(t, f.options(t), nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestAnotherBrowserCanNeitherSeeNorEndTheLogin(t *testing.T) {
	f := newFake(t)
	_, _, err := f.logIn(t, f.options(t), func(ctx context.Context, link string) error {
		user, attacker := browser.User{CA: f.ca}, browser.User{CA: f.ca}
		first, err := user.Client()
		if err != nil {
			return err
		}
		// The user has opened the link, and is at the provider.
		first.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		response, err := first.Get(link)
		if err != nil {
			return err
		}
		response.Body.Close()
		state := response.Header.Get("Location")
		if _, err := attacker.Visit(ctx, link); err == nil || !strings.Contains(err.Error(), "403") {
			return fmt.Errorf("another browser opens the link: %v", err)
		}
		parsed, err := url.Parse(state)
		if err != nil {
			return err
		}
		for _, query := range []string{"code=stolen&state=guessed", "error=access_denied&state=guessed", "code=stolen&state=" + parsed.Query().Get("state"), ""} {
			if _, err := attacker.Visit(ctx, link+"callback?"+query); err == nil || !strings.Contains(err.Error(), "400") {
				return fmt.Errorf("another browser ends the login by %q: %v", query, err)
			}
		}
		// A page in the user's browser that knows the port, but not the state.
		if response, err = first.Get(link + "callback?code=stolen&state=guessed"); err != nil || response.StatusCode != http.StatusBadRequest {
			return fmt.Errorf("another page ends the login: %v, %v", response, err)
		}
		response.Body.Close()
		first.CheckRedirect = nil
		response, err = first.Get(link) // a page that is loaded again
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
	if err != nil {
		t.Errorf("the user's login: %v", err)
	}
	if got := f.last("/token").Get("code"); got != "the-code" {
		t.Errorf("the code is %q", got)
	}
}

func TestTheDeviceFlowOfAClientWithASecret(t *testing.T) {
	f := newFake(t)
	o := f.options(t)
	o.NoBrowser, o.Device = false, true
	o.ClientSecretFile = o.CAFile + ".secret"
	if err := os.WriteFile(o.ClientSecretFile, []byte("the-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.claims = map[string]any{"nonce": nil}
	credential, terminal, err := f.logIn(t, o, nil)
	if err != nil || credential.Subject != "ada" {
		t.Fatalf("got %q, %v", credential.Subject, err)
	}
	if want := "open " + f.url + "/enter on any device and enter the code ABCD-[2JEFGH\n"; !strings.Contains(terminal, want) {
		t.Errorf("the terminal shows %q, want %q", terminal, want)
	}
	if got := f.last("/device"); got.Get("client_secret") != "the-secret" || got.Get("scope") != "openid offline_access" {
		t.Errorf("the device is requested with %v", got)
	}
	if strings.Contains(terminal, "the-secret") || strings.Contains(terminal, "the-device-code") {
		t.Errorf("the terminal has a secret: %s", terminal)
	}
}

func TestAnInterruptedDeviceFlowSaysSo(t *testing.T) {
	f := newFake(t)
	o := f.options(t)
	o.NoBrowser, o.Device = false, true
	ctx, interrupt := context.WithCancel(t.Context())
	f.token = func(w http.ResponseWriter, _ *http.Request) {
		interrupt()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"authorization_pending"}`)
	}
	_, err := o.Credential(ctx, 0, io.Discard)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyARefusedRefreshTokenHasTheUserLogInAgain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		code  int
		body  string
		login bool
		want  string
	}{
		{"a refresh token that is revoked", http.StatusBadRequest, `{"error":"invalid_grant"}`, true, ""},
		{"a provider that wants to ask the user", http.StatusBadRequest, `{"error":"interaction_required"}`, true, ""},
		{"a provider that is busy", http.StatusTooManyRequests, ``, false, "try again later"},
		{"a provider that is not in order", http.StatusBadGateway, ``, false, "try again later"},
		{"a provider that sends an error as a failure of its own", http.StatusInternalServerError, `{"error":"server_error","error_description":"client not found"}`, false, "--client-id=gatehouse: server_error: client not found"},
		{"a client that is refused", http.StatusUnauthorized, `{"error":"invalid_client"}`, false, "--client-id=gatehouse"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t)
			o := f.options(t)
			o.cached(t, entry{RefreshToken: "r", Subject: "ada"})
			f.token = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.code)
				_, _ = io.WriteString(w, tc.body)
			}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			var terminal strings.Builder
			_, err := o.Credential(ctx, 0, writerFunc(func(text string) { terminal.WriteString(text); end() }))
			if asked := terminal.String() != ""; err == nil || asked != tc.login || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("asked to log in: %v, %v", asked, err)
			}
		})
	}
}

// writerFunc is a terminal.
type writerFunc func(text string)

func (f writerFunc) Write(data []byte) (int, error) {
	f(string(data))
	return len(data), nil
}

// silently returns a credential that needs no user.
func (f *fake) silently(t *testing.T, o *Options) Credential {
	t.Helper()
	got, terminal, err := f.logIn(t, o, func(context.Context, string) error { return errors.New("a login is requested") })
	if err != nil || terminal != "" {
		t.Errorf("without a user: %v %q", err, terminal)
	}
	return got
}

// cached replaces the cached login.
func (o *Options) cached(t *testing.T, e entry) *cache {
	t.Helper()
	c, err := o.openCache()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.write(&e); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheCacheHasOneLoginForAClientAndItsScopes(t *testing.T) {
	f := newFake(t)
	o := f.options(t)
	first, _, err := f.logIn(t, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.silently(t, o); got.Token != first.Token {
		t.Error("a second command has another token")
	}
	other := *o
	other.Scopes = []string{"groups"}
	if _, terminal, err := f.logIn(t, &other, nil); err != nil || terminal == "" {
		t.Errorf("other scopes are another login: %v %q", err, terminal)
	}
	c := o.cached(t, entry{})
	if err := os.WriteFile(c.path+entrySuffix, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err := f.logIn(t, o, nil); err != nil || got.Subject != "ada" {
		t.Errorf("a damaged cache: %q, %v", got.Subject, err)
	}
	if removed, err := Logout(o.CacheDir); removed != 2 || err != nil {
		t.Errorf("a logout removed %d, %v", removed, err)
	}
	if _, terminal, err := f.logIn(t, o, nil); err != nil || terminal == "" {
		t.Errorf("after a logout: %q, %v", terminal, err)
	}
}

func TestTokensThatExpireAreRefreshed(t *testing.T) {
	f := newFake(t)
	f.claims = map[string]any{"nonce": nil}
	o := f.options(t)
	for _, tc := range []struct {
		name   string
		expiry time.Time
	}{
		{"expired", time.Now().Add(-time.Hour)},
		{"expires soon", time.Now().Add(expiryMargin / 2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o.cached(t, entry{IDToken: "old", RefreshToken: tc.name, Subject: "ada", Expiry: tc.expiry})
			f.silently(t, o)
			if got := f.last("/token"); got.Get("grant_type") != "refresh_token" || got.Get("refresh_token") != tc.name {
				t.Errorf("the request is %v", got)
			}
		})
	}
	t.Run("a token of another user is refused", func(t *testing.T) {
		o.cached(t, entry{RefreshToken: "r", Subject: "bob"})
		if _, _, err := f.logIn(t, o, nil); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Errorf("got %v", err)
		}
	})
}
