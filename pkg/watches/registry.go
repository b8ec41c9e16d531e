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
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// BlockedAfter is the duration of a write to a client from which its watch counts as blocked. A write waits for the
// client to read, or for the network, only when the buffers of both sides are full.
const BlockedAfter = time.Second

const (
	// keptEnded bounds the number of ended watches that are kept, for those that ended as usual and for the
	// others, so that watches that come and go do not displace the record of one that was cut off.
	keptEnded = 512
	// keptRemoved bounds the number of watches whose removal is known to those that follow the registry.
	keptRemoved = 1024
)

// Registry has the open watches of a server, and the latest that have ended.
type Registry struct {
	// Server is the identity of this server.
	Server string
	// Source returns where the events of a watch come from; nil for the watch cache. It is set before the
	// server serves.
	Source func(*http.Request, *request.RequestInfo) diagnostics.WatchSource

	clock clock.WithTicker
	epoch time.Time
	ends  [len(reasons)]atomicCounter

	mu   sync.Mutex
	open map[*session]struct{}
	// ended has the watches that ended as usual, and the others, the oldest first.
	ended   [2][]*session
	changes changes
}

// NewRegistry returns an empty registry.
func NewRegistry(c clock.WithTicker) *Registry {
	r := &Registry{clock: c, epoch: c.Now(), open: map[*session]struct{}{}}
	// The time as the first version: another start of the server never repeats a resource version.
	r.changes.start(uint64(r.epoch.UnixMicro()))
	return r
}

type sessionKey struct{}

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
		s := r.newSession(w, req, info)
		ctx := context.WithValue(req.Context(), sessionKey{}, s)
		defer r.end(ctx, s)
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(&writer{ResponseWriter: w, flusher: flusher, session: s}), req.WithContext(ctx))
	})
}

// longestText bounds the texts of a client in a record.
const longestText = 1024

func bounded(text string) string {
	if len(text) > longestText {
		text = text[:longestText]
	}
	return strings.Clone(text)
}

func (r *Registry) newSession(w http.ResponseWriter, req *http.Request, info *request.RequestInfo) *session {
	query := req.URL.Query()
	s := &session{
		registry: r, started: r.clock.Now(), auditID: w.Header().Get("Audit-Id"),
		agent: bounded(req.UserAgent()), address: req.RemoteAddr,
		resource:  schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource},
		namespace: info.Namespace, name: info.Name,
		labelSelector: bounded(query.Get("labelSelector")), fieldSelector: bounded(query.Get("fieldSelector")),
		resourceVersion: bounded(query.Get("resourceVersion")),
		source:          diagnostics.WatchSourceCache, webSocket: strings.EqualFold(req.Header.Get("Upgrade"), "websocket"),
	}
	switch query.Get("sendInitialEvents") {
	case "true":
		s.initialEvents = true
	case "":
		s.initialEvents = s.resourceVersion == "" || s.resourceVersion == "0"
	}
	if r.Source != nil {
		s.source = r.Source(req, info)
	}
	if caller, ok := request.UserFrom(req.Context()); ok {
		s.user, s.uid = caller.GetName(), caller.GetUID()
	}
	return s
}

// begin adds a watch whose response begins: one that is refused is no watch.
func (r *Registry) begin(s *session) {
	if s.begun {
		return
	}
	s.begun = true
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[s] = struct{}{}
	s.added = r.changes.next()
	s.version = s.added
	r.changes.announce()
}

// end moves a watch to those that have ended.
func (r *Registry) end(ctx context.Context, s *session) {
	if !s.begun {
		return
	}
	reason := s.reason(ctx)
	r.ends[reason].Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s)
	s.ended, s.duration = reason, r.clock.Since(s.started)
	s.version = r.changes.next()
	ring := &r.ended[0]
	if !reason.usual() {
		ring = &r.ended[1]
	}
	*ring = append(*ring, s)
	if len(*ring) > keptEnded {
		r.changes.remove((*ring)[0])
		(*ring)[0] = nil
		*ring = (*ring)[1:]
	}
	r.changes.announce()
}

// sessions calls visit with the open watches, and with those that have ended.
func (r *Registry) sessions(visit func(*session)) {
	for s := range r.open {
		visit(s)
	}
	for _, ring := range r.ended {
		for _, s := range ring {
			visit(s)
		}
	}
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

// sinceEpoch returns the time since the registry was made, which is not 0.
func (r *Registry) sinceEpoch() time.Duration { return r.clock.Since(r.epoch) + 1 }
