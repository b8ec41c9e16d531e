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
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestEachServerReachesEachHost(t *testing.T) {
	r := newRig(t)
	a, b, c := r.start(t), r.start(t), r.start(t)
	know(t, a, b, c)
	b.connect(t, "edge-1", named("one"))
	c.connect(t, "edge-2", named("two"))
	for _, asked := range []*server{a, b, c} {
		for host, want := range map[string]string{"edge-1": "one /log", "edge-2": "two /log"} {
			for range 2 { // the second time, the server with the tunnel is known
				if got, err := asked.get(t.Context(), host); got != want {
					t.Errorf("%s: %q, %v", host, got, err)
				}
			}
		}
		if _, err := asked.Dial(t.Context(), "edge-3"); !errors.Is(err, tunnel.ErrNotConnected) {
			t.Errorf("a host without a tunnel: %v", err)
		}
	}
}

func TestARequestOfAnotherServerIsNotPassedOn(t *testing.T) {
	r := newRig(t)
	a, b, c := r.start(t), r.start(t), r.start(t)
	know(t, a, b, c)
	c.connect(t, "edge-1", named("one"))
	if got, err := b.get(t.Context(), "edge-1"); got != "one /log" {
		t.Fatalf("b does not reach the host: %q, %v", got, err)
	}
	if _, err := a.dial(t.Context(), b.own, "edge-1"); !errors.Is(err, tunnel.ErrNotConnected) {
		t.Errorf("b, which has no tunnel of the host, answers with %v", err)
	}
}

func TestAHostThatMovesIsReachedAtItsNewServer(t *testing.T) {
	r := newRig(t)
	a, b, c := r.start(t), r.start(t), r.start(t)
	know(t, a, b, c)
	b.connect(t, "edge-1", named("before"))
	if got, err := a.get(t.Context(), "edge-1"); got != "before /log" {
		t.Fatal(got, err)
	}
	b.stop()
	b.http.CloseClientConnections()
	b.http.Close()
	c.connect(t, "edge-1", named("after"))
	if got, err := a.get(t.Context(), "edge-1"); got != "after /log" {
		t.Errorf("%q, %v", got, err)
	}
}

// The agent of a tunnel whose network is gone accepts nothing, and the server notices it only after a while.
func TestALivingTunnelCountsBeforeABrokenOne(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	for _, broken := range []*server{a, b} {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() { _ = broken.tunnels.Hold(t.Context(), "edge-1", near) }()
		t.Cleanup(func() { _ = far.Close() })
		kit.Eventually(t, "the host counts as connected", func(context.Context) bool { return broken.tunnels.Connected("edge-1") })
	}
	c := r.start(t)
	know(t, a, b, c)
	c.connect(t, "edge-1", named("alive"))
	if got, err := a.get(t.Context(), "edge-1"); got != "alive /log" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAStreamEndsWithTheServerThatHoldsTheTunnel(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	b.connect(t, "edge-1", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first line\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	conn, err := a.Dial(t.Context(), "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /log HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.stop()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Logf("the stream ended with %v", err)
	}
}

func TestAStreamThroughAnotherServerEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	ended := make(chan struct{})
	b.connect(t, "edge-1", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := a.Dial(ctx, "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /log HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
}

func TestTheErrorOfTheServerWithTheTunnelIsThatOfTheRequest(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	b.connect(t, "edge-1", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var err error
	for range 300 {
		if _, err = b.tunnels.Dial(t.Context(), "edge-1"); err != nil {
			break
		}
	}
	if _, got := a.Dial(t.Context(), "edge-1"); err == nil || got == nil || got.Error() != err.Error() {
		t.Errorf("%v; want %v", got, err)
	}
}

func TestAServerThatDoesNotAnswerIsNamed(t *testing.T) {
	// answering returns the handler of a server that has a certificate in the directory.
	answering := func(handler http.HandlerFunc) func(*Peers) http.Handler {
		return func(*Peers) http.Handler { return handler }
	}
	raw := func(answer string) func(*Peers) http.Handler {
		return answering(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			for _, err := io.WriteString(conn, answer); err == nil && strings.HasSuffix(answer, "..."); {
				_, err = io.WriteString(conn, "...")
			}
		})
	}
	for _, row := range []struct {
		name   string
		answer func(*Peers) http.Handler
		want   string
	}{
		{"a redirect is not followed", answering(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		}), "it answers with 302"},
		{"a success without a stream", answering(func(http.ResponseWriter, *http.Request) {}), "it answers with 200"},
		{"another protocol", raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "it switches to another protocol"},
		{"an endless header", raw("HTTP/1.1 101 Switching Protocols\r\nX: ..."), "its answer cannot be read"},
		{"an endless text", raw("HTTP/1.1 500 Internal Server Error\r\n\r\n..."), "it answers with 500"},
		{"something else", raw("SSH-2.0-OpenSSH_9.2\r\n"), "its answer cannot be read"},
		{"nothing", raw(""), "its answer cannot be read"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			a, lying := r.start(t), r.startWith(t, row.answer)
			know(t, a, lying)
			_, err := a.Dial(t.Context(), "edge-1")
			want := fmt.Sprintf("the server at %s does not respond: %s", lying.own.Address, row.want)
			if err == nil || errors.Is(err, tunnel.ErrNotConnected) || !strings.Contains(err.Error(), want) || len(err.Error()) > 2*maxAnswer {
				t.Errorf("%.300v; want %q", err, want)
			}
		})
	}
}

func TestAServerThatHangsDelaysOnlyHostsThatAreNotConnected(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	hung, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	enter(t, r, Replica{ID: "hung", Address: hung.Addr().String(), Certificate: b.own.Certificate})
	b.connect(t, "edge-1", named("one"))
	if got, err := a.get(t.Context(), "edge-1"); got != "one /log" {
		t.Errorf("%q, %v", got, err)
	}
	_, err = a.Dial(t.Context(), "edge-2")
	if want := fmt.Sprintf("the server at %s does not respond: no connection in %s", hung.Addr(), connectTimeout); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
}
