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

package tunnel

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// fixture is a server that holds tunnels.
type fixture struct {
	*Registry
	config *rest.Config
	server *httptest.Server
	ended  chan error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	registry := NewRegistry()
	f := &fixture{Registry: registry, ended: make(chan error, 10)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := Accept(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		f.ended <- registry.Hold(r.Context(), strings.Split(r.URL.Path, "/")[5], conn)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	f.server = server
	f.config = &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: pemOf(server.Certificate())}}
	return f
}

func pemOf(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// serve runs an agent with a handler until the test ends, and waits for its tunnel.
func (f *fixture) serve(t *testing.T, host string, handler http.HandlerFunc) context.CancelFunc {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	connected := make(chan bool, 10)
	go Serve(ctx, f.config, nil, host, handler, func(is bool) { connected <- is })
	if !<-connected {
		t.Fatal("the agent reports the end of a tunnel first")
	}
	kit.Eventually(t, "the server has the tunnel", func(context.Context) bool { return len(f.Hosts()) > 0 })
	t.Cleanup(cancel)
	return cancel
}

// client returns a client whose requests go to a host.
func (f *fixture) client(host string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return f.Dial(ctx, host)
	}}}
}

func get(t *testing.T, client *http.Client, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://agent"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func name(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", text, r.URL.Path) }
}

func TestRequestsReachTheAgentOfTheirHost(t *testing.T) {
	f := newFixture(t)
	f.serve(t, "edge-1", name("one"))
	f.serve(t, "edge-2", name("two"))
	for host, want := range map[string]string{"edge-1": "one /log", "edge-2": "two /log"} {
		kit.EventuallyState(t, "the agent of "+host+" responds", func(context.Context) (bool, string) {
			body, err := get(t, f.client(host), "/log")
			return body == want, fmt.Sprint(body, err)
		})
	}
	if _, err := f.Dial(t.Context(), "edge-3"); !errors.Is(err, ErrNotConnected) {
		t.Errorf("a host without a tunnel: %v", err)
	}
}

// As the handlers for exec and port forwarding do.
func TestTheAgentCanTakeAStreamOver(t *testing.T) {
	f := newFixture(t)
	f.serve(t, "edge-1", func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(conn, "heard "+line)
	})
	conn, err := f.Dial(t.Context(), "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://agent/exec", nil)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "echo")
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := reader.ReadString('\n'); line != "heard hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the stream goes on after the agent has closed it")
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	ended := make(chan struct{})
	f.serve(t, "edge-1", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := f.Dial(ctx, "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /log HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Logf("the stream ended with %v", err)
	}
}

func TestTheNewestTunnelOfAHostCounts(t *testing.T) {
	f := newFixture(t)
	first, err := dial(t.Context(), f.config, "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	kit.Eventually(t, "the server has the first tunnel", func(context.Context) bool { return len(f.Hosts()) == 1 })
	f.serve(t, "edge-1", name("new"))
	if err := <-f.ended; !errors.Is(err, errReplaced) {
		t.Errorf("the first tunnel ended with %v", err)
	}
	if body, err := get(t, f.client("edge-1"), "/log"); body != "new /log" {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestATunnelIsOpenedAgainAfterItsEnd(t *testing.T) {
	f := newFixture(t)
	f.serve(t, "edge-1", name("one"))
	f.mu.Lock()
	_ = f.tunnels["edge-1"].conn.Close()
	f.mu.Unlock()
	<-f.ended
	kit.EventuallyState(t, "the agent responds again", func(context.Context) (bool, string) {
		body, err := get(t, f.client("edge-1"), "/log")
		return body == "one /log", fmt.Sprint(body, err)
	})
}

func TestATunnelEndsWithItsAgent(t *testing.T) {
	f := newFixture(t)
	stop := f.serve(t, "edge-1", name("one"))
	stop()
	<-f.ended
	kit.Eventually(t, "the server has no tunnel", func(context.Context) bool { return len(f.Hosts()) == 0 })
	if _, err := f.Dial(t.Context(), "edge-1"); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
}

func TestTheNumberOfStreamsIsBounded(t *testing.T) {
	f := newFixture(t)
	f.serve(t, "edge-1", name("one"))
	conns := make([]net.Conn, 0, maxStreams)
	for range maxStreams {
		conn, err := f.Dial(t.Context(), "edge-1")
		if err != nil {
			t.Fatalf("after %d streams: %v", len(conns), err)
		}
		conns = append(conns, conn)
	}
	if _, err := f.Dial(t.Context(), "edge-1"); err == nil || !strings.Contains(err.Error(), "256 open streams") {
		t.Errorf("one more stream: %v", err)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	kit.EventuallyState(t, "there is space for another stream", func(ctx context.Context) (bool, string) {
		conn, err := f.Dial(ctx, "edge-1")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil, fmt.Sprint(err)
	})
}

func TestAnAgentThatDoesNotKeepToTheProtocolIsRefused(t *testing.T) {
	// agent serves a tunnel by HTTP/2 with a handler.
	agent := func(handler http.HandlerFunc) func(net.Conn) {
		return func(conn net.Conn) {
			_ = (&http.Server{Handler: handler, Protocols: onlyHTTP2()}).Serve(newOneConn(conn)) // #nosec G114 -- the test ends it
		}
	}
	for _, row := range []struct {
		name  string
		agent func(net.Conn)
		want  string
	}{
		{"a redirect", agent(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		}), "refused a stream with 302"},
		{"a refusal", agent(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), "refused a stream with 403"},
		{"a huge header", agent(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			w.WriteHeader(http.StatusOK)
		}), ErrNotConnected.Error()},
		{"another protocol", func(conn net.Conn) { _, _ = io.WriteString(conn, strings.Repeat("SSH-2.0-OpenSSH_9.2\r\n", 1000)) }, ""},
		{"nothing", func(conn net.Conn) { _ = conn.Close() }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t)
			conn, err := dial(t.Context(), f.config, "edge-1")
			if err != nil {
				t.Fatal(err)
			}
			go row.agent(conn)
			defer func() { _ = conn.Close() }()
			if row.want == "" {
				<-f.ended
				return
			}
			kit.EventuallyState(t, "a stream is refused", func(ctx context.Context) (bool, string) {
				_, err := f.Dial(ctx, "edge-1")
				return err != nil && strings.Contains(err.Error(), row.want), fmt.Sprint(err)
			})
		})
	}
}

func TestARefusedTunnelNamesTheReason(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `host "edge-2" may not`, http.StatusForbidden)
	}))
	defer server.Close()
	_, err := dial(t.Context(), &rest.Config{Host: server.URL, Timeout: time.Minute, TLSClientConfig: rest.TLSClientConfig{CAData: pemOf(server.Certificate())}}, "edge-1")
	if err == nil || !strings.Contains(err.Error(), `refuses the tunnel with 403: host "edge-2" may not`) {
		t.Errorf("got %v", err)
	}
}

func TestTheRequestForATunnelHasTheCredentialsOfTheConfiguration(t *testing.T) {
	got := make(chan http.Header, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		http.Error(w, "seen", http.StatusForbidden)
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL, BearerToken: "secret", TLSClientConfig: rest.TLSClientConfig{CAData: pemOf(server.Certificate())}}
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:host:edge-1", Groups: []string{"system:hosts"}}
	if _, err := dial(t.Context(), config, "edge-1"); err == nil {
		t.Error("the refusal is ignored")
	}
	for header, want := range map[string]string{"Authorization": "Bearer secret", "Impersonate-User": "system:host:edge-1", "Impersonate-Group": "system:hosts"} {
		if values := (<-got); values.Get(header) != want {
			t.Errorf("%s is %q, not %q", header, values.Get(header), want)
		} else {
			got <- values
		}
	}
}

func TestTheTunnelGoesToTheNextServerWhenOneFails(t *testing.T) {
	first, second := newFixture(t), newFixture(t)
	servers := make([]*url.URL, 0, 2)
	authorities := []byte{}
	for _, f := range []*fixture{first, second} {
		u, err := url.Parse(f.config.Host)
		if err != nil {
			t.Fatal(err)
		}
		servers, authorities = append(servers, u), append(authorities, f.config.CAData...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go Serve(ctx, &rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: authorities}}, servers, "edge-1", name("one"), nil)
	var holder, other *fixture
	kit.Eventually(t, "a server has the tunnel", func(context.Context) bool {
		holder, other = first, second
		if second.Connected("edge-1") {
			holder, other = second, first
		}
		return holder.Connected("edge-1")
	})
	_ = holder.server.Listener.Close()
	holder.mu.Lock()
	held := holder.tunnels["edge-1"]
	holder.mu.Unlock()
	held.conn.end(io.EOF)
	kit.EventuallyState(t, "the other server has it", func(context.Context) (bool, string) {
		body, err := get(t, other.client("edge-1"), "/log")
		return body == "one /log", fmt.Sprint(body, err)
	})
}
