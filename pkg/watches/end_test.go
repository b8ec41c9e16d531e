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
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// shutdown is a signal that the server stops.
type shutdown chan struct{}

// ShuttingDown implements request.ServerShutdownSignal.
func (s shutdown) ShuttingDown() <-chan struct{} { return s }

func TestAnEndedWatchHasItsReason(t *testing.T) {
	stopped := make(shutdown)
	close(stopped)
	event := []byte(`{"type":"ADDED","object":{}}`)
	write := func(t *testing.T, w http.ResponseWriter, p []byte) {
		t.Helper()
		if _, err := w.Write(p); err != nil {
			t.Error(err)
		}
	}
	for _, row := range []struct {
		name  string
		serve func(t *testing.T, w http.ResponseWriter, ctx context.Context, leave func())
		want  diagnostics.WatchEndReason
	}{
		{"the client closes the connection", func(_ *testing.T, _ http.ResponseWriter, ctx context.Context, leave func()) {
			leave()
			<-ctx.Done()
		}, diagnostics.WatchEndClientClosed},
		{"the storage says that its time is over", func(_ *testing.T, _ http.ResponseWriter, ctx context.Context, _ func()) { TimedOut(ctx) }, diagnostics.WatchEndTimeout},
		{"the storage ends a watch whose client keeps up", func(t *testing.T, w http.ResponseWriter, ctx context.Context, _ func()) {
			for range 20 {
				write(t, w, event)
				w.(http.Flusher).Flush()
			}
			Terminated(ctx)
		}, diagnostics.WatchEndTerminated},
		{"the storage ends a watch with a full buffer", func(t *testing.T, w http.ResponseWriter, ctx context.Context, _ func()) {
			for range fullBuffer {
				write(t, w, event)
			}
			w.(http.Flusher).Flush()
			Terminated(ctx)
		}, diagnostics.WatchEndTooSlow},
		{"an error is sent in JSON", func(t *testing.T, w http.ResponseWriter, ctx context.Context, _ func()) {
			write(t, w, []byte(`{"type":"ERROR","object":{}}`))
			Terminated(ctx)
		}, diagnostics.WatchEndError},
		{"an error is sent in protobuf", func(t *testing.T, w http.ResponseWriter, ctx context.Context, _ func()) {
			write(t, w, []byte("\x0a\x05ERROR\x12\x00"))
			Terminated(ctx)
		}, diagnostics.WatchEndError},
	} {
		t.Run(row.name, func(t *testing.T) {
			registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			began := make(chan struct{})
			server := serve(t, registry, false, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				<-began
				row.serve(t, w, r.Context(), leave)
			})
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+hostsPath, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			close(began)
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			kit.EventuallyState(t, "the watch has ended with its reason", func(context.Context) (bool, string) {
				session := list(registry)[0]
				if session.End == nil {
					return false, "it is open"
				}
				return session.End.Reason == row.want, string(session.End.Reason)
			})
		})
	}
}

func TestAContextEndsItsWatchWithAReason(t *testing.T) {
	stopped := make(shutdown)
	close(stopped)
	cancelled := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		return ctx
	}
	for _, row := range []struct {
		name string
		ctx  context.Context
		took time.Duration
		want diagnostics.WatchEndReason
	}{
		{"the identity is revoked", cancelled(&End{Reason: diagnostics.WatchEndIdentityRevoked}), 0, diagnostics.WatchEndIdentityRevoked},
		{"the right is revoked while a write is blocked", cancelled(&End{Reason: diagnostics.WatchEndAccessRevoked}), time.Minute, diagnostics.WatchEndAccessRevoked},
		{"the server stops", request.WithServerShutdownSignal(t.Context(), stopped), 0, diagnostics.WatchEndServerShutdown},
		{"the connection ends after a blocked write", cancelled(errors.New("closed")), BlockedAfter, diagnostics.WatchEndClientBlocked},
		{"the connection ends after a write that was not blocked", cancelled(errors.New("closed")), BlockedAfter - 1, diagnostics.WatchEndClientClosed},
		{"nothing but the time is left", t.Context(), 0, diagnostics.WatchEndTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			clock := testingclock.NewFakeClock(time.Now())
			registry := NewRegistry(clock)
			s := begin(t, registry, "pods")
			s.beginWrite()
			clock.Step(row.took)
			s.endWrite(nil)
			registry.end(row.ctx, s)
			session := list(registry)[0]
			if session.End == nil || session.End.Reason != row.want || session.End.Duration.Duration != row.took.Truncate(time.Millisecond) || session.State != diagnostics.WatchEnded {
				t.Errorf("got %+v, want %s", session.End, row.want)
			}
		})
	}
}

func TestARefusedRequestIsNoWatch(t *testing.T) {
	registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
	server := serve(t, registry, false, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		_, _ = w.Write([]byte("gone"))
		w.(http.Flusher).Flush()
	})
	if _, err := io.ReadAll(open(t, server, hostsPath).Body); err != nil {
		t.Fatal(err)
	}
	if n := len(list(registry)); n > 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestEndedWatchesAreBoundedAndThoseThatWereCutOffAreKeptApart(t *testing.T) {
	registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
	revoked, cancel := context.WithCancelCause(t.Context())
	cancel(&End{Reason: diagnostics.WatchEndIdentityRevoked})
	registry.end(revoked, begin(t, registry, "pods"))
	for range 3 * keptEnded {
		registry.end(t.Context(), begin(t, registry, "pods"))
	}
	all := list(registry)
	if len(all) != keptEnded+1 || all[0].End.Reason != diagnostics.WatchEndIdentityRevoked {
		t.Errorf("%d sessions are kept, the first of which has ended by %s", len(all), all[0].End.Reason)
	}
}
