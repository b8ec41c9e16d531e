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

package streaming

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// tunnelled returns the URL of a server that passes requests on through the tunnel of a host, by the handler that
// the API server uses.
func tunnelled(t *testing.T, handler http.Handler) string {
	t.Helper()
	registry := tunnel.NewRegistry()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := tunnel.Accept(w, r); err == nil {
			_ = registry.Hold(r.Context(), "edge-1", conn)
		}
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{
		CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go tunnel.Serve(ctx, config, nil, "edge-1", handler, nil)
	kit.Eventually(t, "the host is connected", func(context.Context) bool { return len(registry.Hosts()) > 0 })
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := &url.URL{Scheme: "http", Host: "agent", Path: r.URL.Path, RawQuery: r.URL.RawQuery}
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return registry.Dial(ctx, "edge-1") }}
		passing := proxy.NewUpgradeAwareHandler(target, transport, false, false, tunnelFailure{t})
		passing.FlushInterval = -1
		passing.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

type tunnelFailure struct{ t *testing.T }

func (f tunnelFailure) Error(w http.ResponseWriter, _ *http.Request, err error) {
	f.t.Log(err)
	http.Error(w, err.Error(), http.StatusBadGateway)
}

func TestContainersAreReachableThroughATunnel(t *testing.T) {
	containers, instance := simulated.New(simulated.Options{HostName: "edge-1", HostNumber: 1}), newInstance()
	if err := containers.RunSandbox(t.Context(), instance); err != nil {
		t.Fatal(err)
	}
	if err := containers.StartContainer(t.Context(), instance, &instance.Spec.Containers[0], 0); err != nil {
		t.Fatal(err)
	}
	target := tunnelled(t, New(instances(map[string]*v1alpha1.Instance{"default/web": instance}), containers))
	large := strings.Repeat("0123456789abcdef", 1<<17) + "\n" // more than the windows of the tunnel
	if out, stderr, code := execute(t, target, false, strings.NewReader(large), "cat"); out != large || stderr != "" || code != 0 {
		t.Errorf("%d bytes of %d, %q, %d", len(out), len(large), stderr, code)
	}
	for range 20 {
		if _, _, code := execute(t, target, false, nil, "exit", "3"); code != 3 {
			t.Errorf("the exit code is %d", code)
		}
	}
	if out, _, code := execute(t, target, true, strings.NewReader("a\x04"), "cat"); out != "a" || code != 0 {
		t.Errorf("on a terminal: %q %d", out, code)
	}
	if text := get(t, target+"/v1/instances/default/web/u-1/web/log"); !strings.Contains(text, "container web of default/web starts") {
		t.Error(text)
	}
	if text := get(t, target+"/v1/instances/default/web/u-0/web/log"); !strings.Contains(text, "it was replaced") {
		t.Error(text)
	}
}

// endless has a log that ends with its request.
type endless struct {
	*simulated.Runtime
	ended chan struct{}
}

func (e endless) WriteLog(ctx context.Context, _ *v1alpha1.Instance, _ *runtime.Container, _ runtime.LogOptions, out io.Writer) error {
	defer close(e.ended)
	_, err := io.WriteString(out, "first line\n")
	<-ctx.Done()
	return err
}

func TestALogEndsWithItsReader(t *testing.T) {
	containers, instance := endless{simulated.New(simulated.Options{HostName: "edge-1", HostNumber: 1}), make(chan struct{})}, newInstance()
	if err := containers.RunSandbox(t.Context(), instance); err != nil {
		t.Fatal(err)
	}
	if err := containers.StartContainer(t.Context(), instance, &instance.Spec.Containers[0], 0); err != nil {
		t.Fatal(err)
	}
	target := tunnelled(t, New(instances(map[string]*v1alpha1.Instance{"default/web": instance}), containers))
	response, err := http.Get(target + "/v1/instances/default/web/u-1/web/log?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, len("first line\n"))); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	<-containers.ended
}
