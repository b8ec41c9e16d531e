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

package ui

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
)

// page is a page in front of a fake API server, with a visitor that has a session.
type page struct {
	*visitor.Visitor
	handler *Handler
	owner   Owner
}

// serve returns a page.
func serve(t *testing.T, api http.HandlerFunc, secure bool) *page {
	t.Helper()
	upstream := httptest.NewServer(api)
	t.Cleanup(upstream.Close)
	owner, err := OwnerOf(&rest.Config{Host: upstream.URL, BearerToken: "the-users-own"})
	if err != nil {
		t.Fatal(err)
	}
	p := &page{owner: owner}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }))
	p.handler, err = NewHandler(Config{
		Sessions: NewSessions(ProxyLimits, clock.RealClock{}), Mode: ModeProxy, Secure: secure,
		Authorities: func(*http.Request) []string { return []string{server.Listener.Addr().String()} },
		Assets: fstest.MapFS{
			"index.html":    {Data: []byte(`<script type="module" src="{{assets}}/app.js"></script>`)},
			"app.js":        {Data: []byte(`import "./views/a.js"`)},
			"views/a.js":    {Data: []byte(`export {}`)},
			"style.css":     {Data: []byte(`a{}`)},
			"not-a-file.go": {Data: []byte(`package main`)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.handler.timing = timing{heartbeat: 20 * time.Millisecond, gather: time.Millisecond, stall: 200 * time.Millisecond, first: time.Millisecond, most: 50 * time.Millisecond}
	authorities := x509.NewCertPool()
	if secure {
		server.StartTLS()
		authorities.AddCert(server.Certificate())
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		p.handler.Sessions.End(http.ErrServerClosed)
		server.Close()
	})
	p.Visitor = visitor.New(server.URL, authorities)
	p.Enter(t, p.secret(t))
	return p
}

// secret returns the secret of a new link.
func (p *page) secret(t *testing.T) string {
	t.Helper()
	secret, sum := NewSecret()
	if _, err := p.handler.Sessions.Offer(sum, p.owner); err != nil {
		t.Fatal(err)
	}
	return secret
}

// hosts is an API server with one path.
func hosts(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", mediaJSON)
	switch r.URL.Path {
	case "/apis/fleet.gatehouse.dev/v1alpha1/hosts":
		http.SetCookie(w, &http.Cookie{Name: "upstream", Value: "cookie"})
		_ = json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "query": r.URL.RawQuery, "headers": r.Header})
	case "/version":
		_, _ = io.WriteString(w, `{"gitVersion":"v1.2.3"}`)
	case "/apis/authentication.k8s.io/v1/selfsubjectreviews":
		_, _ = io.WriteString(w, `{"status":{"userInfo":{"username":"ann","groups":["ops"]}}}`)
	case "/api/v1/text":
		w.Header().Set("Content-Type", "text/html")
	case "/api/v1/moved":
		http.Redirect(w, r, "http://elsewhere.example.com/", http.StatusFound)
	case "/api/v1/unauthorized":
		w.WriteHeader(http.StatusUnauthorized)
	case "/api/v1/forbidden":
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status","message":"no"}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

const hostsPath = "/ui/api/apis/fleet.gatehouse.dev/v1alpha1/hosts"

func TestWhatThePageAnswers(t *testing.T) {
	p := serve(t, hosts, false)
	for _, c := range []struct {
		name, method, path, body string
		header                   http.Header
		code                     int
		says                     string
	}{
		{name: "the page", path: "/ui/", code: 200, says: "/app.js"},
		{name: "a read", path: hostsPath + "?limit=5", code: 200, says: `"query":"limit=5"`},
		{name: "HEAD", method: http.MethodHead, path: hostsPath, code: 200},
		{name: "the user", path: "/ui/whoami", code: 200, says: `"user":"ann","groups":["ops"],"server":"http://127.0.0.1:`},
		{name: "the version", path: "/ui/whoami", code: 200, says: `"version":"v1.2.3","mode":"proxy"`},
		{name: "a refusal of the server passes", path: "/ui/api/api/v1/forbidden", code: 403, says: `"kind":"Status"`},
		{name: "a refusal of the user's credentials is not the end of the session", path: "/ui/api/api/v1/unauthorized", code: 502, says: "does not accept the credentials"},
		{name: "what is not JSON does not pass", path: "/ui/api/api/v1/text", code: 502, says: "not JSON"},
		{name: "a redirect does not pass", path: "/ui/api/api/v1/moved", code: 502, says: "not JSON"},
		{name: "the address without the page", path: "/", code: 302},

		{name: "another name of the address (DNS rebinding)", path: hostsPath, header: http.Header{"Host": {"evil.example.com"}}, code: 421},
		{name: "another name with the port", path: hostsPath, header: http.Header{"Host": {"evil.example.com:" + p.port()}}, code: 421},
		{name: "localhost, which is another origin", path: hostsPath, header: http.Header{"Host": {"localhost:" + p.port()}}, code: 421},
		{name: "the address without the port", path: hostsPath, header: http.Header{"Host": {"127.0.0.1"}}, code: 421},
		{name: "assets by another name", path: "/ui/", header: http.Header{"Host": {"evil.example.com"}}, code: 421},
		{name: "a request of another site", path: hostsPath, header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, code: 403},
		{name: "a request of another port of this host", path: hostsPath, header: http.Header{"Sec-Fetch-Site": {"same-site"}}, code: 403},
		{name: "a navigation of another site to data", path: hostsPath, header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, code: 403},
		{name: "a link on another site", path: "/ui/", header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, code: 200},
		{name: "a frame of another site", path: "/ui/", header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, code: 403},
		{name: "a request with the origin of another port", path: hostsPath, header: http.Header{"Origin": {"http://127.0.0.1:1"}}, code: 403},
		{name: "a request with no origin to tell", path: hostsPath, header: http.Header{"Origin": {"null"}}, code: 403},
		{name: "a session from another site", method: http.MethodPost, path: "/ui/session", body: visitor.Redeem(p.secret(t)), header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, code: 403},
		{name: "a session by a form", method: http.MethodPost, path: "/ui/session", body: visitor.Redeem(p.secret(t)), header: http.Header{"Content-Type": {"text/plain"}}, code: 415},
		{name: "a session by a link", path: "/ui/session", code: 405},
		{name: "a session without a secret", method: http.MethodPost, path: "/ui/session", body: `{}`, code: 401, says: "run kubectl gatehouse ui"},
		{name: "a session by a guess", method: http.MethodPost, path: "/ui/session", body: `{"secret":"guess"}`, code: 401, says: "run kubectl gatehouse ui"},
		{name: "a long secret", method: http.MethodPost, path: "/ui/session", body: `{"secret":"` + strings.Repeat("a", 5000) + `"}`, code: 400},
		{name: "no cookie", path: hostsPath, header: http.Header{"Cookie": {""}}, code: 401},
		{name: "another cookie", path: hostsPath, header: http.Header{"Cookie": {"gatehouse-" + p.port() + "=guess"}}, code: 401},
		{name: "the cookie of another port", path: hostsPath, header: http.Header{"Cookie": {"gatehouse-1=" + p.Cookie.Value}}, code: 401},
		{name: "POST", method: http.MethodPost, path: hostsPath, body: "{}", code: 405, says: "only reads"},
		{name: "DELETE", method: http.MethodDelete, path: hostsPath, code: 405},
		{name: "PATCH", method: http.MethodPatch, path: hostsPath, body: "{}", code: 405},
		{name: "OPTIONS", method: http.MethodOptions, path: hostsPath, code: 405},
		{name: "a method in another header", path: hostsPath, header: http.Header{"X-Http-Method-Override": {"DELETE"}}, code: 200, says: `"method":"GET"`},
		{name: "secrets", path: "/ui/api/api/v1/secrets", code: 400, says: "secrets"},
		{name: "exec", path: "/ui/api/api/v1/namespaces/a/pods/b/exec?command=sh", code: 400},
		{name: "a watch", path: hostsPath + "?watch=1", code: 400},
		{name: "dots", path: "/ui/api/../api/v1/secrets", code: 400},
		{name: "escaped dots", path: "/ui/api/%2e%2e/metrics", code: 400},
		{name: "an escaped slash", path: "/ui/api/api%2fv1/secrets", code: 400},
		{name: "two slashes", path: "/ui/api//api/v1/secrets", code: 400},
		{name: "another address in the path", path: "/ui/api/http://evil.example.com/", code: 400},
		{name: "dots among the assets", path: "/ui/assets/../handler.go", code: 404},
		{name: "a file that is none of the page", path: "/ui/assets/not-a-file.go", code: 404},
		{name: "another path", path: "/metrics", code: 404},
		{name: "a stream without a collection", path: "/ui/stream", code: 400},
		{name: "a stream of thirteen collections", path: "/ui/stream?" + strings.Repeat("watch=/api/v1/configmaps&", 13), code: 400},
		{name: "a stream of secrets", path: "/ui/stream?watch=/api/v1/secrets", code: 400},
		{name: "a stream with another parameter", path: "/ui/stream?watch=/api/v1/configmaps&as=root", code: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodGet
			}
			response, body := p.Send(t, c.method, c.path, c.body, c.header)
			if response.StatusCode != c.code || !strings.Contains(body, c.says) {
				t.Errorf("%s %s: %s", response.Status, response.Header.Get("Location"), body)
			}
			for name := range headers {
				if response.Header.Get(name) == "" {
					t.Errorf("there is no header %s", name)
				}
			}
			if csp := response.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.HasPrefix(csp, "default-src 'none'; ") {
				t.Errorf("the policy is %s", csp)
			}
		})
	}
}

func (p *page) port() string { return p.Base[strings.LastIndex(p.Base, ":")+1:] }

func TestNoHeaderOfTheBrowserReachesTheAPIServer(t *testing.T) {
	p := serve(t, hosts, false)
	response, body := p.Send(t, http.MethodGet, hostsPath, "", http.Header{
		"Impersonate-User": {"root"}, "Impersonate-Group": {"system:masters"}, "Impersonate-Uid": {"1"}, "Impersonate-Extra-Scopes": {"a"},
		"Authorization": {"Bearer stolen"}, "X-Remote-User": {"root"}, "X-Remote-Group": {"system:masters"}, "Connection": {"X-Secret"}, "X-Secret": {"a"},
		"X-Forwarded-For": {"1.2.3.4"}, "Accept": {"application/json;as=Table;v=v1;g=meta.k8s.io,application/json"},
	})
	var seen struct {
		Headers http.Header `json:"headers"`
	}
	if err := json.Unmarshal([]byte(body), &seen); err != nil {
		t.Fatal(err)
	}
	if got := seen.Headers.Get("Authorization"); got != "Bearer the-users-own" {
		t.Errorf("the authorization is %q", got)
	}
	if got := seen.Headers.Get("Accept"); !strings.HasPrefix(got, "application/json;as=Table") {
		t.Errorf("the media types are %q", got)
	}
	for name := range seen.Headers {
		switch name {
		case "Accept", "Accept-Encoding", "Authorization", "User-Agent":
		default:
			t.Errorf("the header %s reaches the API server", name)
		}
	}
	if got := response.Header.Get("Set-Cookie"); got != "" {
		t.Errorf("a cookie of the API server reaches the browser: %s", got)
	}
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("data may be cached: %s", got)
	}
	if _, body = p.Send(t, http.MethodGet, hostsPath, "", http.Header{"Accept": {"text/html, application/json"}}); !strings.Contains(body, `"Accept":["application/json"]`) {
		t.Errorf("other media types than JSON are asked for: %s", body)
	}
}

func TestTheCookieIsForThisPageOnly(t *testing.T) {
	for _, secure := range []bool{false, true} {
		p := serve(t, hosts, secure)
		name, path := "gatehouse-"+p.port(), "/ui/"
		if secure {
			name, path = "__Host-"+name, "/"
		}
		c := p.Cookie
		if c.Name != name || c.Path != path || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != secure || c.Domain != "" || c.MaxAge != 0 {
			t.Errorf("the cookie is %+v", c)
		}
	}
}

func TestAssetsAreCachedByTheirHash(t *testing.T) {
	p := serve(t, hosts, false)
	_, index := p.Send(t, http.MethodGet, "/ui/", "", nil)
	script := strings.Split(index, `"`)[3]
	if !strings.HasPrefix(script, "/ui/assets/") || !strings.HasSuffix(script, "/app.js") {
		t.Fatalf("the script is %s", script)
	}
	for path, cache := range map[string]string{
		script: "public, max-age=31536000, immutable", strings.TrimSuffix(script, "app.js") + "views/a.js": "public, max-age=31536000, immutable",
		"/ui/assets/app.js": "no-cache", "/ui/assets/style.css": "no-cache",
	} {
		response, body := p.Send(t, http.MethodGet, path, "", nil)
		if response.StatusCode != http.StatusOK || response.Header.Get("Cache-Control") != cache || body == "" {
			t.Errorf("%s: %s, %s", path, response.Status, response.Header.Get("Cache-Control"))
		}
		again, _ := p.Send(t, http.MethodGet, path, "", http.Header{"If-None-Match": {response.Header.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %s", path, again.Status)
		}
	}
	if response, _ := p.Send(t, http.MethodGet, "/ui/assets/0123456789abcdef/app.js", "", nil); response.StatusCode != http.StatusNotFound {
		t.Errorf("the hash of another build: %s", response.Status)
	}
}
