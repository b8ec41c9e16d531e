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
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// watched is a server whose watches begin with events; a version of another start has expired.
type watched struct {
	*replicas
	version string
	// fresh are the events of a watch from now on, and all those of one with initial events.
	fresh, all []v1alpha1.RequestTrace
}

// ServeHTTP implements http.Handler.
func (s *watched) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	if query.Get("watch") == "" {
		s.replicas.ServeHTTP(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	if version := query.Get("resourceVersion"); version != "" && version != s.version {
		status := apierrors.NewResourceExpired("gone").ErrStatus
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(http.StatusGone)
		_ = encoder.Encode(status)
		return
	}
	send := func(kind string, trace v1alpha1.RequestTrace) {
		trace.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestTrace"}
		_ = encoder.Encode(map[string]any{"type": kind, "object": trace})
		w.(http.Flusher).Flush()
	}
	events := s.fresh
	if query.Get("sendInitialEvents") == "true" {
		events = s.all
	}
	for _, trace := range events {
		send("ADDED", trace)
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
	first := &watched{version: "10", fresh: []v1alpha1.RequestTrace{before}, replicas: &replicas{names: []string{"a:1"}, traces: [][]v1alpha1.RequestTrace{nil}}}
	second := &watched{version: "20", all: []v1alpha1.RequestTrace{at("old", time.Minute, 18), before, at("meanwhile", 2*time.Hour, 20)}, replicas: first.replicas}
	server := serveAt(t, "127.0.0.1:0", first)
	address := server.Listener.Addr().String()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Setenv("KUBECONFIG", "/nowhere/kubeconfig")
	read, write := io.Pipe()
	ended := make(chan int)
	go func() {
		code := Execute(ctx, []string{"why", "--follow", "-o", "name", "-s", "http://" + address}, Streams{Out: write, Err: write})
		_ = write.Close()
		ended <- code
	}()
	lines := make(chan string, 100)
	go func() {
		content := make([]byte, 4096)
		for {
			n, err := read.Read(content)
			for _, line := range strings.Split(strings.TrimSpace(string(content[:n])), "\n") {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	expect := func(prefix string) {
		t.Helper()
		if line := <-lines; !strings.HasPrefix(line, prefix) {
			t.Fatalf("printed %q, want %q", line, prefix)
		}
	}
	expect("requesttrace.diagnostics.gatehouse.dev/before")
	server.CloseClientConnections()
	server.Close()
	expect("The server does not respond, trying again: ")
	server = serveAt(t, address, second)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	expect("requesttrace.diagnostics.gatehouse.dev/meanwhile")
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("ended with %d", code)
	}
}
