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

package load

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a server of config maps in memory, with defects that tests switch on.
type fake struct {
	mu       sync.Mutex
	changed  chan struct{}
	revision int64
	objects  map[string]item
	log      []entry

	// forgets drops every n-th acknowledged write, stale answers every n-th get with an older
	// version, and skips and repeats do so with the n-th event.
	forgets, stale, skips, repeats int
	// hangs closes every n-th connection of a write after it has happened.
	hangs int
	// silent stops all watches without an end after the n-th event.
	silent int

	writes, gets, events int
	previous             map[string]item
}

type item struct {
	Kind     string            `json:"kind"`
	Metadata map[string]any    `json:"metadata"`
	Data     map[string]string `json:"data"`
}

func (i item) revision() string {
	text, _ := i.Metadata["resourceVersion"].(string)
	return text
}

func (i item) at(revision int64) item {
	return item{i.Kind, map[string]any{"name": i.Metadata["name"], "resourceVersion": strconv.FormatInt(revision, 10)}, i.Data}
}

type entry struct {
	Type     string `json:"type"`
	Object   item   `json:"object"`
	revision int64
}

// serve starts the server and returns how the clients reach it.
func (f *fake) serve(t *testing.T) (Server, *tls.Config) {
	t.Helper()
	f.changed, f.objects, f.previous = make(chan struct{}), map[string]item{}, map[string]item{}
	server := httptest.NewTLSServer(f)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return Server{"fake", server.URL}, &tls.Config{RootCAs: roots}
}

// every reports whether the count has reached a multiple of n; never for 0.
func every(count *int, n int) bool {
	*count++
	return n > 0 && *count%n == 0
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/default/configmaps"), "/")
	switch {
	case r.URL.Query().Has("watch"):
		f.watch(w, r)
	case r.Method == http.MethodGet && name == "":
		f.mu.Lock()
		defer f.mu.Unlock()
		items := []item{}
		for _, object := range f.objects {
			items = append(items, object)
		}
		respond(w, http.StatusOK, map[string]any{"metadata": map[string]string{"resourceVersion": strconv.FormatInt(f.revision, 10)}, "items": items})
	case r.Method == http.MethodGet:
		f.get(w, name)
	default:
		f.write(w, r, name)
	}
}

func (f *fake) get(w http.ResponseWriter, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	object, ok := f.objects[name]
	if older, had := f.previous[name]; had && every(&f.gets, f.stale) {
		object, ok = older, true
	}
	if !ok {
		respond(w, http.StatusNotFound, map[string]any{"reason": "NotFound"})
		return
	}
	respond(w, http.StatusOK, object)
}

func (f *fake) write(w http.ResponseWriter, r *http.Request, name string) {
	var body struct {
		item
		Preconditions struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"preconditions"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		respond(w, http.StatusBadRequest, map[string]any{"message": err.Error()})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPost {
		name = fmt.Sprint(body.Metadata["name"])
	}
	old, present := f.objects[name]
	if code, reason := refusal(r.Method, present, old.revision() == body.revision() || old.revision() == body.Preconditions.ResourceVersion); code != 0 {
		respond(w, code, map[string]any{"reason": reason})
		return
	}
	forgotten := every(&f.writes, f.forgets)
	next := item{"ConfigMap", body.Metadata, body.Data}
	if r.Method == http.MethodDelete {
		next = old
	}
	next = next.at(f.revision + 1)
	if !forgotten {
		f.store(r.Method, name, next, old, present)
	}
	if f.hangs > 0 && f.writes%f.hangs == 0 {
		panic(http.ErrAbortHandler) // the client does not get a response
	}
	respond(w, http.StatusOK, next)
}

// refusal returns the response to a write whose condition does not hold.
func refusal(method string, present, current bool) (int, string) {
	switch {
	case method == http.MethodPost && present:
		return http.StatusConflict, "AlreadyExists"
	case method != http.MethodPost && !present:
		return http.StatusNotFound, "NotFound"
	case method != http.MethodPost && !current:
		return http.StatusConflict, "Conflict"
	}
	return 0, ""
}

// store applies a write. The caller holds the lock.
func (f *fake) store(method, name string, next, old item, present bool) {
	f.revision++
	kind := "ADDED"
	switch {
	case method == http.MethodDelete:
		kind = "DELETED"
		delete(f.objects, name)
	case present:
		kind = "MODIFIED"
		f.previous[name] = old
		fallthrough
	default:
		f.objects[name] = next
	}
	if method == http.MethodDelete {
		delete(f.previous, name)
	}
	f.events++
	e := entry{kind, next, f.revision}
	if f.events != f.skips {
		f.log = append(f.log, e)
	}
	if f.events == f.repeats {
		f.log = append(f.log, e)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) watch(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	// A watch ends after some events, and is resumed.
	for sent, next := 0, 0; sent < 40; {
		f.mu.Lock()
		pending, changed := slices.Clone(f.log[min(next, len(f.log)):]), f.changed
		if f.silent > 0 && f.events > f.silent {
			pending = nil
		}
		next += len(pending)
		f.mu.Unlock()
		for _, e := range pending {
			if e.revision <= from {
				continue
			}
			if json.NewEncoder(w).Encode(e) != nil {
				return
			}
			sent++
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-time.After(time.Minute):
			return
		}
	}
}

func respond(w http.ResponseWriter, code int, content any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(content)
}
