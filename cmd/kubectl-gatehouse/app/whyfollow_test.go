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

package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// watched are servers whose watches begin with the name of the server.
type watched struct {
	*replicas
	// fresh are the events of a watch from now on, and all those of one with initial events, of each server.
	fresh, all [][]v1alpha1.RequestTrace
}

// ServeHTTP implements http.Handler.
func (s *watched) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	if query.Get("watch") == "" {
		s.replicas.ServeHTTP(w, req)
		return
	}
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	send := func(kind string, trace v1alpha1.RequestTrace) {
		trace.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestTrace"}
		_ = encoder.Encode(map[string]any{"type": kind, "object": trace})
		w.(http.Flusher).Flush()
	}
	events := s.fresh
	if query.Get("sendInitialEvents") == "true" {
		events = s.all
	} else {
		send("BOOKMARK", trace("", s.names[current], 1))
	}
	if current < len(events) {
		for _, trace := range events[current] {
			send("ADDED", trace)
		}
	}
	<-req.Context().Done()
}

// serveAt serves at an address until the test ends, or the server is closed.
func serveAt(t *testing.T, address string, handler http.Handler) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	return server
}

func TestFollowContinuesAfterARestartOfTheServerWithoutRepeatingOrLosingRefusals(t *testing.T) {
	now := time.Now()
	at := func(name string, offset time.Duration, version int) v1alpha1.RequestTrace {
		trace := trace(name, "a:1", version)
		trace.ReceivedTime = metav1.NewMicroTime(now.Add(offset))
		return trace
	}
	before := at("before", time.Hour, 10)
	one := &replicas{names: []string{"a:1"}, traces: [][]v1alpha1.RequestTrace{nil}}
	first := &watched{fresh: [][]v1alpha1.RequestTrace{{before}}, replicas: one}
	second := &watched{all: [][]v1alpha1.RequestTrace{{at("old", time.Minute, 8), before, at("meanwhile", 2*time.Hour, 20), at("slow", 30*time.Minute, 21)}}, replicas: one}
	server := serveAt(t, "127.0.0.1:0", first)
	address := server.Listener.Addr().String()

	expect, end := follow(t, address)
	expect("requesttrace.diagnostics.gatehouse.dev/before")
	server.CloseClientConnections()
	server.Close()
	expect("The server does not respond, trying again: ")
	server = serveAt(t, address, second)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	expect("requesttrace.diagnostics.gatehouse.dev/meanwhile")
	expect("requesttrace.diagnostics.gatehouse.dev/slow")
	end()
}

// follow runs why --follow and returns functions that expect the beginning of one of its next lines, in any order,
// and that end it.
func follow(t *testing.T, address string) (expect func(prefixes ...string), end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	t.Setenv("KUBECONFIG", "/nowhere/kubeconfig")
	read, write := io.Pipe()
	ended := make(chan int)
	go func() {
		code := Execute(ctx, []string{"why", "--follow", "-o", "name", "-s", "http://" + address}, Streams{Out: write, Err: write})
		_ = write.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(read)
	expect = func(prefixes ...string) {
		t.Helper()
		for range prefixes {
			if !lines.Scan() {
				t.Fatalf("ended without %q", prefixes)
			}
			at := slices.IndexFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(lines.Text(), prefix) })
			if at < 0 {
				t.Fatalf("printed %q, want one of %q", lines.Text(), prefixes)
			}
			prefixes = slices.Delete(slices.Clone(prefixes), at, at+1)
		}
	}
	return expect, func() {
		t.Helper()
		cancel()
		go func() { _, _ = io.Copy(io.Discard, read) }()
		if code := <-ended; code != exitDone {
			t.Errorf("ended with %d", code)
		}
	}
}

func TestFollowHasARequestOfEachServerBehindOneAddress(t *testing.T) {
	at := func(name, server string) []v1alpha1.RequestTrace {
		trace := trace(name, server, 10)
		trace.ReceivedTime = metav1.NewMicroTime(time.Now().Add(time.Hour))
		return []v1alpha1.RequestTrace{trace}
	}
	server := serveAt(t, "127.0.0.1:0", &watched{
		replicas: &replicas{names: []string{"a:1", "b:1", "c:1"}, traces: make([][]v1alpha1.RequestTrace, 3)}, fresh: [][]v1alpha1.RequestTrace{at("of-a", "a:1"), at("of-b", "b:1"), at("of-c", "c:1")},
	})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	expect, end := follow(t, server.Listener.Addr().String())
	const name = "requesttrace.diagnostics.gatehouse.dev/"
	expect(name+"of-a", name+"of-b", name+"of-c", "Following the refused requests of the servers a:1, b:1, c:1.")
	end()
}
