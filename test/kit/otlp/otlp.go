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

// Package otlp receives spans by OTLP over gRPC, as a collector of traces does. Read Start.
package otlp

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Receiver keeps the spans that it receives.
type Receiver struct {
	collector.UnimplementedTraceServiceServer
	// ConfigFile is a TracingConfiguration by which a server sends all its spans to the receiver.
	ConfigFile string

	mu    sync.Mutex
	spans map[string][]*tracev1.Span
}

// Start receives spans on a free port until the test ends.
func Start(t testing.TB) *Receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{ConfigFile: filepath.Join(t.TempDir(), "tracing.yaml"), spans: map[string][]*tracev1.Span{}}
	content := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: %s\nsamplingRatePerMillion: 1000000\n", listener.Addr())
	if err := os.WriteFile(r.ConfigFile, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(listener) }() // it ends with Stop
	t.Cleanup(server.Stop)
	return r
}

// Export implements collector.TraceServiceServer.
func (r *Receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				trace := hex.EncodeToString(span.GetTraceId())
				r.spans[trace] = append(r.spans[trace], span)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// Has reports whether a trace has these spans: the first is its root, whose parent is the given one, and each of the
// others is the parent of the next. Spans between the root and the second one are not named.
func (r *Receiver) Has(trace, parent, root string, others ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	byID := map[string]*tracev1.Span{}
	for _, span := range r.spans[trace] {
		byID[hex.EncodeToString(span.GetSpanId())] = span
	}
	for _, span := range r.spans[trace] {
		path := pathTo(byID, parent, span)
		if len(path) > len(others) && path[0] == root && slices.Equal(path[len(path)-len(others):], others) {
			return true
		}
	}
	return false
}

// pathTo returns the names of the spans from the root to a span, and nothing if one of them is missing.
func pathTo(byID map[string]*tracev1.Span, parent string, span *tracev1.Span) []string {
	path := []string{span.GetName()}
	for id := hex.EncodeToString(span.GetParentSpanId()); id != "" && id != parent; id = hex.EncodeToString(span.GetParentSpanId()) {
		if span = byID[id]; span == nil {
			return nil
		}
		path = append([]string{span.GetName()}, path...)
	}
	return path
}

// Names returns the names of all spans of a trace.
func (r *Receiver) Names(trace string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, span := range r.spans[trace] {
		names = append(names, span.GetName())
	}
	return names
}

// Text returns every received span as text.
func (r *Receiver) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.spans)
}
