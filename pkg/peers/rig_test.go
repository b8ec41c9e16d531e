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

package peers

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// rig has servers of one etcd.
type rig struct {
	etcd *embedded.Server
}

func newRig(t *testing.T) *rig {
	t.Helper()
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	return &rig{etcd}
}

// server is one of the servers.
type server struct {
	*Peers
	http *httptest.Server
	// stop stops it as SIGTERM does, and returns when it is no longer in the directory.
	stop func()
}

// start starts a server with the handler behind the paths of peers.
func (r *rig) start(t *testing.T) *server {
	t.Helper()
	return r.startWith(t, func(p *Peers) http.Handler { return p.Wrap(chain(p)) })
}

// chain stands for the handlers of users: it accepts tunnels, and answers all else with 418.
func chain(p *Peers) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/{group}/{version}/hosts/{name}/tunnel", func(w http.ResponseWriter, r *http.Request) {
		if conn, err := tunnel.Accept(w, r); err == nil {
			_ = p.tunnels.Hold(r.Context(), r.PathValue("name"), conn)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	return mux
}

func (r *rig) startWith(t *testing.T, handler func(*Peers) http.Handler) *server {
	t.Helper()
	listening := httptest.NewUnstartedServer(nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p, err := New(ctx, Config{Tunnels: tunnel.NewRegistry(), Client: r.etcd.NewClient(), Prefix: "/registry", Address: listening.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	listening.Config.Handler = handler(p)
	listening.EnableHTTP2 = true
	listening.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config := listening.TLS.Clone()
		if hello.ServerName == serverName {
			config.Certificates = []tls.Certificate{p.certificate}
		}
		config.GetConfigForClient = nil
		return config, nil
	}}
	listening.StartTLS()
	ended := make(chan struct{})
	go func() {
		p.Run(ctx)
		close(ended)
	}()
	s := &server{p, listening, func() { cancel(); <-ended }}
	t.Cleanup(func() {
		s.stop()
		listening.CloseClientConnections()
		listening.Close()
	})
	return s
}

// know waits until each of the servers has read the others.
func know(t *testing.T, servers ...*server) {
	t.Helper()
	for _, s := range servers {
		kit.EventuallyState(t, "the servers know each other", func(ctx context.Context) (bool, string) {
			others, err := s.Others(ctx)
			return len(others) == len(servers)-1, fmt.Sprint(others, err)
		})
	}
}

// connect connects a host to the server, and returns when it is connected.
func (s *server) connect(t *testing.T, host string, agent http.HandlerFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	config := &rest.Config{Host: s.http.URL, TLSClientConfig: rest.TLSClientConfig{
		CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}),
	}}
	go func() {
		tunnel.Serve(ctx, config, nil, host, agent, nil)
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	kit.Eventually(t, host+" is connected", func(context.Context) bool { return s.tunnels.Connected(host) })
}

// named is an agent that says its name.
func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name+" "+r.URL.Path) }
}

// get sends a request to the agent of a host through the server.
func (s *server) get(ctx context.Context, host string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.Dial(ctx, host)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/log", nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}
