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
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	oidc "github.com/coreos/go-oidc"
	"golang.org/x/oauth2"
)

// callbackPath is the path of the redirect URL.
const callbackPath = "/callback"

// authorization is one attempt of the authorization code flow.
type authorization struct {
	provider *provider
	config   oauth2.Config
	// verifier is of PKCE (RFC 7636); state and nonce bind the response and the token to this attempt.
	verifier, state, nonce string
	// cookie binds the browser that opened the link first: another user of this machine cannot finish the login
	// with an account of another person.
	cookie, cookieName string
	opened             chan struct{}
	results            chan result
}

// result is the response of the provider through the browser.
type result struct {
	code string
	err  error
}

// authorizationCode runs the authorization code flow with PKCE and a redirect to the loopback interface.
func (p *provider) authorizationCode(ctx context.Context, notes io.Writer) (*entry, error) {
	listeners, port, err := p.options.listen()
	if err != nil {
		return nil, err
	}
	a := p.newAuthorization(port)
	server := &http.Server{Handler: a, ReadHeaderTimeout: requestTimeout}
	defer server.Close()
	for _, listener := range listeners {
		go func() { _ = server.Serve(listener) }()
	}
	if err := p.newAuthorization(port).preflight(ctx); err != nil {
		return nil, err
	}
	link := (&url.URL{Scheme: "http", Host: net.JoinHostPort(p.options.RedirectHost, port), Path: "/"}).String()
	p.options.show(link, notes)
	select {
	case got := <-a.results:
		if got.err != nil {
			return nil, got.err
		}
		token, err := a.config.Exchange(p.context(ctx), got.code, oauth2.VerifierOption(a.verifier))
		if err != nil {
			return nil, p.refused(ctx, codeFlow, err)
		}
		return p.tokens(ctx, token, a.nonce)
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, p.options.timedOut(codeFlow, "")
		}
		return nil, ctx.Err()
	}
}

// newAuthorization returns an attempt with random values.
func (p *provider) newAuthorization(port string) *authorization {
	a := &authorization{
		provider: p, config: p.oauth, opened: make(chan struct{}, 1), results: make(chan result, 1),
		verifier: oauth2.GenerateVerifier(), state: oauth2.GenerateVerifier(), nonce: oauth2.GenerateVerifier(),
		cookie: oauth2.GenerateVerifier(), cookieName: "gatehouse-login-" + port,
	}
	a.opened <- struct{}{}
	a.config.RedirectURL = (&url.URL{Scheme: "http", Host: net.JoinHostPort(p.options.RedirectHost, port), Path: callbackPath}).String()
	return a
}

// listen listens on the loopback interface. localhost is both addresses, if the machine has IPv6.
func (o *Options) listen() ([]net.Listener, string, error) {
	first, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(o.ListenPort)))
	if err != nil {
		return nil, "", fmt.Errorf("--listen-port=%d: %w: choose another port that the client permits, or 0 for any free one", o.ListenPort, err)
	}
	_, port, err := net.SplitHostPort(first.Addr().String())
	if err != nil {
		return nil, "", errors.Join(err, first.Close())
	}
	if o.RedirectHost != loopback {
		if second, err := net.Listen("tcp", net.JoinHostPort("::1", port)); err == nil {
			return []net.Listener{first, second}, port, nil
		}
	}
	return []net.Listener{first}, port, nil
}

// url returns the authorization request.
func (a *authorization) url() string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.verifier), oidc.Nonce(a.nonce)}
	p := a.provider
	if slices.Contains(p.options.Scopes, oidc.ScopeOfflineAccess) && !p.supportsOfflineAccess() {
		options = append(options, oauth2.AccessTypeOffline) // how Google's provider is asked for a refresh token
	}
	return a.config.AuthCodeURL(a.state, options...)
}

// preflight sends the authorization request without a browser. A provider that refuses the client or its
// redirect URL answers 400 and returns no error to this program.
func (a *authorization) preflight(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/html, text/plain;q=0.9, application/json;q=0.8")
	response, err := a.provider.client.Do(request)
	if err != nil {
		// Without the parameters of the URL: they would hide the reason.
		return a.provider.refused(ctx, codeFlow, &url.Error{Op: "Get", URL: a.config.Endpoint.AuthURL, Err: errors.Unwrap(err)})
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		return nil
	}
	reason := response.Status
	if content := response.Header.Get("Content-Type"); !strings.Contains(content, "html") {
		if body, err := io.ReadAll(io.LimitReader(response.Body, longestText)); err == nil {
			reason += ": " + string(body)
		}
	}
	o := a.provider.options
	return fmt.Errorf("%s refused the login of --client-id=%s: check the ID, and that the client permits the authorization code flow with the redirect URL %s and any port, or else name the permitted one with --listen-port and --redirect-host: %s",
		o.Issuer, o.ClientID, a.config.RedirectURL, printable(reason))
}

// ServeHTTP implements http.Handler. The link leads to the provider, so that the authorization request is not in
// the arguments of the browser's process. The provider leads back to callbackPath.
func (a *authorization) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'")
	header.Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case r.Method != http.MethodGet:
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
	case r.URL.Path == "/":
		a.begin(w, r)
	case r.URL.Path == callbackPath:
		a.finish(w, r)
	default:
		http.NotFound(w, r)
	}
}

// begin redirects the first browser, and that one again.
func (a *authorization) begin(w http.ResponseWriter, r *http.Request) {
	if !a.knows(r) {
		select {
		case <-a.opened:
		default:
			http.Error(w, "This link was opened by another browser. Run the command again.", http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: a.cookieName, Value: a.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	http.Redirect(w, r, a.url(), http.StatusFound)
}

// knows reports whether a request is from the browser that opened the link.
func (a *authorization) knows(r *http.Request) bool {
	cookie, err := r.Cookie(a.cookieName)
	return err == nil && equal(cookie.Value, a.cookie)
}

// finish takes the provider's response. A request that is not of this attempt changes nothing, so it cannot end
// the login either.
func (a *authorization) finish(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !a.knows(r) || !equal(query.Get("state"), a.state) {
		http.Error(w, "This is not the login that is expected here. Run the command again.", http.StatusBadRequest)
		return
	}
	got := result{code: query.Get("code")}
	issuer := a.provider.options.Issuer
	switch sender := query.Get("iss"); {
	case sender != "" && sender != issuer, sender == "" && a.provider.metadata.NamesItselfBack:
		got.err = fmt.Errorf("the response of the login is from issuer %q and not from %s: it was refused", printable(sender), issuer)
	case query.Get("error") != "":
		got.err = a.provider.refusal(codeFlow, query.Get("error"), strings.TrimSuffix(query.Get("error")+": "+query.Get("error_description"), ": "))
	case got.code == "":
		got.err = fmt.Errorf("%s sent no code: its response is not that of an authorization code flow", issuer)
	}
	text := "You are logged in. Close this page and return to the terminal.\n"
	if got.err != nil {
		text = "The login failed. The reason is in the terminal.\n"
	}
	// The page is complete and sent before the server is closed.
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	fmt.Fprint(w, text)
	_ = http.NewResponseController(w).Flush()
	select {
	case a.results <- got:
	default: // a page that was loaded again
	}
}

// equal compares secrets in constant time.
func equal(got, want string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
