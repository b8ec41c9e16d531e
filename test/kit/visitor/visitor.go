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

// Package visitor is a client of the page, which also sends what no browser sends.
package visitor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// patience bounds the reading of a stream.
const patience = 2 * time.Minute

// Visitor is a client of one page.
type Visitor struct {
	// Base is the address of the page without a path.
	Base string
	// Cookie is that of the session; nil for none.
	Cookie *http.Cookie

	client *http.Client
}

// New returns a visitor without a session. authorities verify a page with TLS; nil for a page without.
func New(base string, authorities *x509.CertPool) *Visitor {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS13}}
	// A redirect is not followed.
	return &Visitor{Base: base, client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Open returns a visitor with the session of a link.
func Open(t testing.TB, link string, authorities *x509.CertPool) *Visitor {
	t.Helper()
	base, secret, ok := strings.Cut(link, "/ui/#secret=")
	if !ok {
		t.Fatalf("%q is no link to a page", link)
	}
	v := New(base, authorities)
	v.Enter(t, secret)
	return v
}

// Redeem returns the body that exchanges a secret for a session.
func Redeem(secret string) string { return `{"secret":"` + secret + `"}` }

// Enter exchanges a secret for a session, which the visitor has from then on.
func (v *Visitor) Enter(t testing.TB, secret string) {
	t.Helper()
	response, body := v.Send(t, http.MethodPost, "/ui/session", Redeem(secret), nil)
	cookies := response.Cookies()
	if response.StatusCode != http.StatusNoContent || len(cookies) != 1 {
		t.Fatalf("no session begins: %s %s", response.Status, body)
	}
	v.Cookie = cookies[0]
}

// Send sends a request, without cleaning its path, and returns the response with its body. header replaces
// what a browser sends; Host is the name of the page.
func (v *Visitor) Send(t testing.TB, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response := v.do(ctx, t, method, path, body, header)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response, string(content)
}

func (v *Visitor) do(ctx context.Context, t testing.TB, method, path, body string, header http.Header) *http.Response {
	t.Helper()
	target, err := url.Parse(v.Base)
	if err != nil {
		t.Fatal(err)
	}
	target.Opaque, target.RawQuery, _ = strings.Cut(path, "?")
	request, err := http.NewRequestWithContext(ctx, method, v.Base, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.URL = target
	request.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		request.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
	}
	if v.Cookie != nil && header["Cookie"] == nil {
		request.AddCookie(v.Cookie)
	}
	response, err := v.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response
}

// Follow opens a stream, and returns its lines and the response. The stream ends with the test.
func (v *Visitor) Follow(t testing.TB, query string) (*bufio.Scanner, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	response := v.do(ctx, t, http.MethodGet, "/ui/stream?"+query, "", nil)
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 4<<20)
	return lines, response
}
