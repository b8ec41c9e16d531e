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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Config has the inputs of a Handler.
type Config struct {
	// Sessions has the links and sessions.
	Sessions *Sessions
	// Mode is proxy or server.
	Mode string
	// Server is the address of the API server that the page shows; that of the owner if empty.
	Server string
	// Secure is true if the page is served over TLS.
	Secure bool
	// Authorities returns the values of the header Host that are the handler's own, with the port.
	Authorities func(*http.Request) []string
	// Assets are the files of the page; those of this package if nil.
	Assets fs.FS
}

// The modes of a page.
const (
	ModeProxy  = "proxy"
	ModeServer = "server"
)

// Handler serves the page below /ui/.
type Handler struct {
	Config
	assets    *assets
	crossSite *http.CrossOriginProtection
	timing    timing
}

// NewHandler returns a handler.
func NewHandler(c Config) (*Handler, error) {
	if c.Sessions == nil || c.Authorities == nil {
		return nil, errors.New("the page needs sessions and the values of its header Host")
	}
	if c.Assets == nil {
		c.Assets = Assets()
	}
	loaded, err := loadAssets(c.Assets)
	if err != nil {
		return nil, err
	}
	return &Handler{Config: c, assets: loaded, crossSite: http.NewCrossOriginProtection(), timing: defaultTiming}, nil
}

// headers are those of every response.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// ServeHTTP implements http.Handler. The address is checked first, then the origin, the method, and the
// session.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	// A name that an attacker's DNS server resolves to this address is a different origin for a browser, but
	// the requests arrive here.
	if own := h.Authorities(r); !slices.ContainsFunc(own, func(a string) bool { return strings.EqualFold(a, r.Host) }) {
		fail(w, http.StatusMisdirectedRequest, "this is not the address of the page: open the link that kubectl gatehouse ui prints")
		return
	}
	if err := h.crossSite.Check(r); err != nil || !h.sameOrigin(r) {
		fail(w, http.StatusForbidden, "the request comes from another site")
		return
	}
	// Paths are compared as they are written.
	switch path := r.URL.EscapedPath(); {
	case path == "/ui/session":
		h.only(w, r, h.startSession, http.MethodPost)
	case path == "/" || path == "/ui":
		h.only(w, r, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ui/", http.StatusFound) }, http.MethodGet)
	case path == "/ui/":
		h.only(w, r, func(w http.ResponseWriter, r *http.Request) { h.assets.index.serve(w, r, "no-cache") }, http.MethodGet, http.MethodHead)
	case strings.HasPrefix(path, assetsPrefix):
		h.only(w, r, func(w http.ResponseWriter, r *http.Request) {
			h.assets.serve(w, r, strings.TrimPrefix(path, assetsPrefix))
		}, http.MethodGet, http.MethodHead)
	case path == "/ui/whoami":
		h.only(w, r, h.within("read", mostReads, h.whoami), http.MethodGet)
	case path == "/ui/stream":
		h.only(w, r, h.within(streams, mostStreams, h.stream), http.MethodGet)
	case strings.HasPrefix(path, apiPrefix+"/"):
		h.only(w, r, h.within("read", mostReads, h.read), http.MethodGet, http.MethodHead)
	default:
		fail(w, http.StatusNotFound, "there is no such path")
	}
}

// The requests of one session that may be in progress at the same time.
const (
	mostReads   = 32
	mostStreams = 4
)

// sameOrigin reports whether the page itself sent a request, as far as the browser tells. A document may be
// opened from anywhere: it contains nothing, and no site can show it in a frame.
func (h *Handler) sameOrigin(r *http.Request) bool {
	scheme := "http://"
	if h.Secure {
		scheme = "https://"
	}
	if origin := r.Header.Get("Origin"); origin != "" && !strings.EqualFold(origin, scheme+r.Host) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" &&
		(r.URL.Path == "/" || r.URL.Path == "/ui" || r.URL.Path == "/ui/")
}

// only serves requests with one of the methods.
func (h *Handler) only(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc, methods ...string) {
	if slices.Contains(methods, r.Method) {
		serve(w, r)
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	fail(w, http.StatusMethodNotAllowed, "the page only reads: use "+strings.Join(methods, " or "))
}

// cookieName has the port, because browsers send a cookie to every port of a host: pages of two servers
// keep their own sessions. A name with __Host- is never set by another host or without TLS.
func (h *Handler) cookieName(r *http.Request) string {
	name := "gatehouse"
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		name += "-" + port
	}
	if h.Secure {
		return "__Host-" + name
	}
	return name
}

// longestSecret bounds the body of a request that starts a session, in bytes.
const longestSecret = 4 << 10

// startSession exchanges the secret of a link for a cookie.
func (h *Handler) startSession(w http.ResponseWriter, r *http.Request) {
	if mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mediaType != mediaJSON {
		fail(w, http.StatusUnsupportedMediaType, "the body must be "+mediaJSON)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(h.timing.stall))
	var body struct {
		Secret string `json:"secret"`
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestSecret))
	_ = control.SetReadDeadline(time.Time{})
	if err != nil || json.Unmarshal(content, &body) != nil {
		fail(w, http.StatusBadRequest, `the body must be {"secret":"..."}`)
		return
	}
	cookie, err := h.Sessions.redeem(r.Context(), body.Secret)
	switch {
	case errors.Is(err, errLink):
		fail(w, http.StatusUnauthorized, err.Error())
		return
	case err != nil:
		fail(w, http.StatusTooManyRequests, err.Error())
		return
	}
	path := "/ui/"
	if h.Secure {
		path = "/" // which __Host- requires
	}
	http.SetCookie(w, &http.Cookie{Name: h.cookieName(r), Value: cookie, Path: path, HttpOnly: true, Secure: h.Secure, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}

// within serves requests that belong to a session, a limited number of them at the same time.
func (h *Handler) within(kind string, most int, serve func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie(h.cookieName(r))
		if err != nil {
			fail(w, http.StatusUnauthorized, errSession.Error())
			return
		}
		found, err := h.Sessions.find(r.Context(), cookie.Value)
		if err != nil {
			fail(w, http.StatusUnauthorized, err.Error())
			return
		}
		leave, ok := h.Sessions.enter(found, kind, most)
		if !ok {
			w.Header().Set("Retry-After", "1")
			fail(w, http.StatusTooManyRequests, fmt.Sprintf("too many requests are in progress, and %d is the limit of one session: close other tabs", most))
			return
		}
		defer leave()
		serve(w, r, found)
	}
}

// fail answers with an error.
func fail(w http.ResponseWriter, code int, message string) {
	reply(w, code, struct {
		Message string `json:"message"`
	}{message})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
