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
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// apiPrefix begins the paths that are passed on to the API server.
const apiPrefix = "/ui/api"

// read passes a read on to the API server.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, s *session) {
	wanted, err := parseTarget(strings.TrimPrefix(r.URL.EscapedPath(), apiPrefix), r.URL.RawQuery, false)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, done := s.bound(r.Context())
	defer done()
	response, err := s.owner.request(ctx, r.Method, wanted.path, wanted.query.Encode(), accepted(r), nil)
	if err != nil {
		fail(w, http.StatusBadGateway, "the API server cannot be reached: "+unreachable(err).Message)
		return
	}
	defer func() { _ = response.Body.Close() }()
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		// For the page, 401 is the end of its session.
		content, _ := io.ReadAll(io.LimitReader(response.Body, longestError))
		fail(w, http.StatusBadGateway, "the API server does not accept the credentials: "+statusOf(response.StatusCode, content).Message)
		return
	case response.StatusCode >= http.StatusMultipleChoices && response.StatusCode < http.StatusBadRequest || mediaType != mediaJSON:
		fail(w, http.StatusBadGateway, "the response of the API server is not JSON")
		return
	}
	for _, name := range []string{"Audit-Id", "Content-Type", "Retry-After"} {
		if value := response.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(response.StatusCode)
	h.copy(w, response.Body)
}

// copy copies a response. Each write is bounded in time, because a response may be long.
func (h *Handler) copy(w http.ResponseWriter, from io.Reader) {
	control := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		_ = control.SetWriteDeadline(time.Now().Add(h.timing.stall))
		if _, failed := w.Write(buffer[:n]); failed != nil || err != nil {
			break
		}
	}
	_ = control.SetWriteDeadline(time.Time{})
}

// accepted returns the media types of a read: JSON, also as a table.
func accepted(r *http.Request) string {
	accept := r.Header.Get("Accept")
	if accept == "" || len(accept) > longestMessage {
		return mediaJSON
	}
	for media := range strings.SplitSeq(accept, ",") {
		if mediaType, _, _ := strings.Cut(strings.TrimSpace(media), ";"); mediaType != mediaJSON {
			return mediaJSON
		}
	}
	return accept
}

// whoami returns the user of the session, and the server.
func (h *Handler) whoami(w http.ResponseWriter, r *http.Request, s *session) {
	ctx, done := s.bound(r.Context())
	defer done()
	identity, err := s.owner.Identity(ctx)
	if err != nil {
		fail(w, http.StatusBadGateway, "the API server does not tell the user: "+unreachable(err).Message)
		return
	}
	if identity.Groups == nil {
		identity.Groups = []string{}
	}
	server := h.Server
	if server == "" {
		server = s.owner.Server.String()
	}
	reply(w, http.StatusOK, struct {
		Identity
		Server  string `json:"server"`
		Version string `json:"version"`
		Mode    string `json:"mode"`
	}{identity, server, s.owner.version(ctx), h.Mode})
}
