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

package watches

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	"k8s.io/utils/clock"
)

// BlockedAfter is the duration of a write to a client from which its watch counts as blocked. A write waits for the
// client to read, or for the network, only when the buffers of both sides are full.
const BlockedAfter = time.Second

// Session describes a watch at one moment.
type Session struct {
	// ID identifies the watch in this process; later ones have larger IDs.
	ID uint64
	// User is the authenticated user, after impersonation; Agent is the User-Agent, and Address the host and port of
	// the connection.
	User, Agent, Address string
	// Resource, Namespace and Name are what it watches. Namespace is empty for all, Name for a collection.
	Resource        schema.GroupVersionResource
	Namespace, Name string
	// LabelSelector, FieldSelector and ResourceVersion are as in the request.
	LabelSelector, FieldSelector, ResourceVersion string
	// InitialEvents reports whether the watch began with the objects that existed.
	InitialEvents bool
	// Since is the start of the watch.
	Since time.Time
	// Events is the number of events that were written, with bookmarks, and Bytes their size as sent. A Compressed
	// watch sends several events at once, and Events counts these batches. Neither includes a write that blocks. A
	// watch over a WebSocket has neither.
	Events, Bytes int64
	Compressed    bool
	// Blocked is how long the current write to the client has lasted; 0 if none does.
	Blocked time.Duration
}

// IsBlocked reports whether the client has not taken a write for BlockedAfter.
func (s Session) IsBlocked() bool { return s.Blocked >= BlockedAfter }

// Registry has the open watches of a server.
type Registry struct {
	clock clock.PassiveClock
	epoch time.Time
	last  atomic.Uint64

	mu   sync.Mutex
	open map[*session]struct{}
}

// NewRegistry returns an empty registry.
func NewRegistry(c clock.PassiveClock) *Registry {
	return &Registry{clock: c, epoch: c.Now(), open: map[*session]struct{}{}}
}

// session is the record of one open watch. Only the goroutine that serves the watch writes to it.
type session struct {
	registry *Registry
	// opened has the fields that do not change.
	opened        Session
	events, bytes atomic.Int64
	compressed    atomic.Bool
	// writing is the start of the current write, in nanoseconds after the epoch; 0 for none.
	writing atomic.Int64
}

// Wrap records the watches of a handler. It is the innermost one of the chain, where the context has the user and
// the request info.
func (r *Registry) Wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, ok := request.RequestInfoFrom(req.Context())
		flusher, streams := w.(responsewriter.CloseNotifierFlusher)
		if !ok || info.Verb != "watch" || !streams {
			handler.ServeHTTP(w, req)
			return
		}
		s := r.begin(info, req)
		defer r.end(s)
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(&writer{ResponseWriter: w, flusher: flusher, session: s}), req)
	})
}

func (r *Registry) begin(info *request.RequestInfo, req *http.Request) *session {
	query := req.URL.Query()
	s := &session{registry: r, opened: Session{
		ID: r.last.Add(1), Agent: req.UserAgent(), Address: req.RemoteAddr,
		Resource:  schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource},
		Namespace: info.Namespace, Name: info.Name,
		LabelSelector: query.Get("labelSelector"), FieldSelector: query.Get("fieldSelector"), ResourceVersion: query.Get("resourceVersion"),
		InitialEvents: query.Get("sendInitialEvents") == "true",
		Since:         r.clock.Now(),
	}}
	if caller, ok := request.UserFrom(req.Context()); ok {
		s.opened.User = caller.GetName()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[s] = struct{}{}
	return s
}

func (r *Registry) end(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s)
}

// Sessions returns the open watches, oldest first.
func (r *Registry) Sessions() []Session {
	r.mu.Lock()
	sessions := make([]Session, 0, len(r.open))
	for s := range r.open {
		sessions = append(sessions, s.now())
	}
	r.mu.Unlock()
	slices.SortFunc(sessions, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	return sessions
}

// blocked returns the number of blocked watches, and for how long the longest has been blocked.
func (r *Registry) blocked() (count int, longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.open {
		if waited := s.waited(); waited >= BlockedAfter {
			count++
			longest = max(longest, waited)
		}
	}
	return count, longest
}

// now returns the state of the watch.
func (s *session) now() Session {
	session := s.opened
	session.Events, session.Bytes, session.Compressed = s.events.Load(), s.bytes.Load(), s.compressed.Load()
	session.Blocked = s.waited()
	return session
}

// waited returns the duration of the current write.
func (s *session) waited() time.Duration {
	began := s.writing.Load()
	if began == 0 {
		return 0
	}
	return max(0, s.registry.clock.Since(s.registry.epoch)-time.Duration(began))
}

// beginWrite records the start of a write or a flush; endWrite its end.
func (s *session) beginWrite() {
	s.writing.Store(max(1, int64(s.registry.clock.Since(s.registry.epoch))))
}

func (s *session) endWrite() { s.writing.Store(0) }

// writer records the writes of a watch.
type writer struct {
	http.ResponseWriter
	flusher http.Flusher
	session *session
	// pending is true if a compressed watch has written since the last flush.
	pending bool
}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(code int) {
	if w.Header().Get("Content-Encoding") != "" {
		w.session.compressed.Store(true)
	}
	w.ResponseWriter.WriteHeader(code)
}

// lengthPrefix is the size of the length that precedes each event in protobuf, in a write of its own.
const lengthPrefix = 4

// Write implements http.ResponseWriter. The server writes each event at once, except for its length.
func (w *writer) Write(p []byte) (int, error) {
	w.session.beginWrite()
	n, err := w.ResponseWriter.Write(p)
	w.session.endWrite()
	w.session.bytes.Add(int64(n))
	switch {
	case w.session.compressed.Load():
		w.pending = true
	case len(p) > lengthPrefix && err == nil:
		w.session.events.Add(1)
	}
	return n, err
}

// Flush implements http.Flusher.
func (w *writer) Flush() {
	w.session.beginWrite()
	w.flusher.Flush()
	w.session.endWrite()
	if w.pending {
		w.pending = false
		w.session.events.Add(1)
	}
}
