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
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// serve serves the handler, recorded by the registry, as the user alice.
func serve(t *testing.T, registry *Registry, http2 bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	resolver := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	recorded := registry.Wrap(handler)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := resolver.NewRequestInfo(r)
		if err != nil {
			t.Error(err)
		}
		ctx := request.WithUser(request.WithRequestInfo(r.Context(), info), &user.DefaultInfo{Name: "alice", UID: "1"})
		w.Header().Set("Audit-Id", "an-id")
		recorded.ServeHTTP(w, r.WithContext(ctx))
	}))
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// list returns the sessions of the registry.
func list(registry *Registry) (all []*diagnostics.WatchSession) {
	registry.List(func(session *diagnostics.WatchSession) { all = append(all, session) })
	return all
}

// begin adds a watch that no client reads.
func begin(t testing.TB, registry *Registry, resource string) *session {
	t.Helper()
	s := registry.newSession(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), &request.RequestInfo{Verb: "watch", Resource: resource})
	registry.begin(s)
	return s
}

// open sends a request and returns its response, whose body the caller reads.
func open(t *testing.T, server *httptest.Server, path string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

const hostsPath = "/apis/fleet.example.com/v1/namespaces/shop/hosts?watch=1&labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&resourceVersion=7&sendInitialEvents=true"

func TestAWatchIsRecordedWhileItIsOpen(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("with HTTP/2: %v", http2), func(t *testing.T) {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			registry, leave := NewRegistry(testingclock.NewFakeClock(start)), make(chan struct{})
			server := serve(t, registry, http2, func(w http.ResponseWriter, _ *http.Request) {
				_, hijacks := w.(http.Hijacker)
				if hijacks == http2 {
					t.Errorf("the writer of a watch hijacks: %v", hijacks)
				}
				for range 3 {
					_, _ = w.Write([]byte{0, 0, 0, 5})
					_, _ = w.Write([]byte("event"))
				}
				w.(http.Flusher).Flush()
				<-leave
			})
			response := open(t, server, hostsPath)
			if _, err := io.ReadFull(response.Body, make([]byte, 27)); err != nil {
				t.Fatal(err)
			}
			sessions := list(registry)
			if len(sessions) != 1 {
				t.Fatalf("got %d sessions", len(sessions))
			}
			got := sessions[0]
			user := diagnostics.WatchUser{Username: "alice", UID: "1", SourceIP: "127.0.0.1", UserAgent: "Go-http-client/" + map[bool]string{false: "1.1", true: "2.0"}[http2]}
			request := diagnostics.WatchedRequest{
				APIGroup: "fleet.example.com", APIVersion: "v1", Resource: "hosts", Namespace: "shop", Name: "x", LabelSelector: "a=b", FieldSelector: "metadata.name=x", ResourceVersion: "7", InitialEvents: true,
			}
			if got.User != user || got.Request != request {
				t.Errorf("got %+v and %+v, want %+v and %+v", got.User, got.Request, user, request)
			}
			if !got.StartTime.Time.Equal(start) || got.Events != 3 || got.Bytes != 27 || got.State != diagnostics.WatchOpen || got.AuditID != "an-id" {
				t.Errorf("got %+v", got)
			}
			close(leave)
			if _, err := io.ReadAll(response.Body); err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, "the watch has ended", func(context.Context) bool { return list(registry)[0].End != nil })
		})
	}
}

func TestACompressedWatchCountsItsBatches(t *testing.T) {
	registry, leave := NewRegistry(testingclock.NewFakeClock(time.Now())), make(chan struct{})
	server := serve(t, registry, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() // the headers
		for range 3 {
			_, _ = w.Write([]byte("a part"))
		}
		w.(http.Flusher).Flush()
		<-leave
	})
	defer close(leave)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+hostsPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip") // or the client would decompress
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 18)); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the batch is counted", func(context.Context) bool {
		sessions := list(registry)
		return len(sessions) == 1 && sessions[0].Compressed && sessions[0].Events == 1 && sessions[0].Bytes == 18
	})
}

func TestOtherRequestsAreNotRecorded(t *testing.T) {
	registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
	server := serve(t, registry, false, func(http.ResponseWriter, *http.Request) {
		if n := len(list(registry)); n > 0 {
			t.Errorf("%d sessions", n)
		}
	})
	for _, path := range []string{"/apis/fleet.example.com/v1/hosts", "/version"} {
		open(t, server, path)
	}
}

// TestAClientThatDoesNotReadBlocksItsWatch writes more than the buffers of both sides hold.
func TestAClientThatDoesNotReadBlocksItsWatch(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("with HTTP/2: %v", http2), func(t *testing.T) {
			clock := testingclock.NewFakeClock(time.Now())
			registry := NewRegistry(clock)
			clock.SetTime(clock.Now().Add(time.Hour))
			server := serve(t, registry, http2, func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						return
					}
				}
			})
			response := open(t, server, hostsPath)
			stuck, looks := int64(0), 0
			kit.Eventually(t, "a write is blocked", func(context.Context) bool {
				if written := list(registry)[0].Bytes; written != stuck {
					stuck, looks = written, 0
				}
				looks++
				return stuck > 0 && looks > 20
			})
			if count, longest := registry.blocked(); count != 0 || longest != 0 {
				t.Errorf("%d watches are blocked for %v before a second has passed", count, longest)
			}
			clock.SetTime(clock.Now().Add(3 * time.Second))
			session := list(registry)[0]
			if count, longest := registry.blocked(); count != 1 || longest != 3*time.Second || session.BlockedSince == nil || clock.Since(session.BlockedSince.Time).Round(time.Second) != longest {
				t.Errorf("%d watches are blocked for %v, and the session since %v", count, longest, session.BlockedSince)
			}
			if _, err := io.ReadFull(bufio.NewReader(response.Body), make([]byte, stuck+2<<20)); err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, "the client has read, and the watch is not blocked", func(context.Context) bool {
				count, _ := registry.blocked()
				return count == 0
			})
		})
	}
}

func TestTheMetricsHaveTheBlockedWatches(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Now())
	registry := NewRegistry(clock)
	for _, blocked := range []time.Duration{0, 5 * time.Second, 2 * time.Second} {
		s := begin(t, registry, "pods")
		if blocked > 0 {
			s.writing.Store(int64(10*time.Second-blocked) + 1)
		}
	}
	clock.SetTime(clock.Now().Add(10 * time.Second))
	registry.end(t.Context(), begin(t, registry, "pods"))
	families, err := registry.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		metric := family.GetMetric()[0]
		got[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
	}
	if got["gatehouse_watches_blocked"] != 2 || got["gatehouse_watches_longest_blocked_seconds"] != 5 || got["apiserver_watch_cache_stalled_watchers"] != 2 || got["gatehouse_watches_ended_total"] != 1 {
		t.Errorf("got %v", got)
	}
}

// TestWatchesHaveNoGoroutine opens many sessions, which are followed.
func TestWatchesHaveNoGoroutine(t *testing.T) {
	registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
	defer registry.Follow()()
	before := runtime.NumGoroutine()
	for range 10_000 {
		begin(t, registry, "pods")
	}
	if after := runtime.NumGoroutine(); after > before+10 || len(list(registry)) != 10_000 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// BenchmarkTenThousandWatches measures what the records cost: the memory of each open one (B/watch), and the passes
// over all of them, of the metrics, of the ticks while the records are followed, and of a list.
func BenchmarkTenThousandWatches(b *testing.B) {
	registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := -runtime.NumGoroutine()
	path := "/apis/fleet.example.com/v1/hosts?watch=1&fieldSelector=metadata.name%3Dedge-1234&resourceVersion=123456"
	for range 10_000 {
		info := &request.RequestInfo{Verb: "watch", APIGroup: "fleet.example.com", APIVersion: "v1", Resource: "hosts"}
		registry.begin(registry.newSession(httptest.NewRecorder(), httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil), info))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	goroutines += runtime.NumGoroutine()
	perWatch := float64(after.HeapAlloc-before.HeapAlloc) / 10_000
	for _, row := range []struct {
		name string
		pass func()
	}{
		{"metrics", func() { registry.blocked() }},
		{"tick", func() { registry.mu.Lock(); registry.sample(); registry.mu.Unlock() }},
		{"list", func() { list(registry) }},
	} {
		b.Run(row.name, func(b *testing.B) {
			for b.Loop() {
				row.pass()
			}
			b.ReportMetric(perWatch, "B/watch")
			b.ReportMetric(float64(goroutines), "goroutines")
		})
	}
}
