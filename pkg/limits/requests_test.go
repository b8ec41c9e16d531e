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

package limits

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// quick has bounds for which a test can wait.
const (
	quickGrace = 200 * time.Millisecond
	quickRate  = 1 << 20
)

// bodyServer responds with the length of the body, or with its refusal.
func bodyServer(t *testing.T, http2 bool) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	connections := NewConnections(server.Listener, 100)
	connections.bodyGrace, connections.bodyRate, connections.discard = quickGrace, quickRate, quickGrace
	server.Listener = connections
	server.Config.Handler = connections.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/unread":
			w.WriteHeader(http.StatusUnauthorized)
			return
		case "/queued":
			time.Sleep(3 * quickGrace) // as a request that waits for a seat of flow control
		}
		content, err := io.ReadAll(r.Body)
		_ = r.Body.Close() // as the library's handlers do, before they respond
		var refusal *apierrors.StatusError
		if errors.As(err, &refusal) {
			w.WriteHeader(int(refusal.ErrStatus.Code))
			fmt.Fprint(w, refusal.ErrStatus.Message)
			_ = http.NewResponseController(w).Flush()
			return
		}
		fmt.Fprintf(w, "%d %v", len(content), err)
	}))
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestASlowBodyIsRefused(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("with HTTP/2: %v", http2), func(t *testing.T) {
			server := bodyServer(t, http2)
			source, sink := io.Pipe()
			stop := make(chan struct{})
			go func() {
				for {
					if _, err := sink.Write([]byte("x")); err != nil {
						return
					}
					select {
					case <-stop:
						_ = sink.Close()
						return
					case <-time.After(quickGrace / 10):
					}
				}
			}()
			response, err := server.Client().Post(server.URL, "application/json", source) // the server bounds it
			close(stop)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			content, _ := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(content), "arrived too slowly") {
				t.Errorf("got %d %s", response.StatusCode, content)
			}
		})
	}
}

func TestABodyInTimeIsAccepted(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := bodyServer(t, http2)
		for range 3 { // on one connection
			response, err := server.Client().Post(server.URL, "application/json", strings.NewReader(strings.Repeat("x", 1<<20))) // the server bounds it
			if err != nil {
				t.Fatal(err)
			}
			content, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if string(content) != "1048576 <nil>" {
				t.Errorf("with HTTP/2 %v: got %d %s", http2, response.StatusCode, content)
			}
		}
	}
}

// TestAnUnreadBodyDoesNotOccupyItsConnection sends a request that gets its response before its body is
// read, as one without credentials does, and then single bytes.
func TestAnUnreadBodyDoesNotOccupyItsConnection(t *testing.T) {
	server := bodyServer(t, false)
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
	hungUp := make(chan error, 1)
	go func() {
		reader := bufio.NewReader(conn)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for {
			if _, err := reader.ReadByte(); err != nil {
				hungUp <- err
				return
			}
		}
	}()
	for {
		select {
		case err := <-hungUp:
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the server still reads")
			}
			return
		case <-time.After(quickGrace / 10):
			_, _ = conn.Write([]byte("x"))
		}
	}
}

func TestABodyIsNotSlowWhileItsRequestWaits(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := bodyServer(t, http2)
		response, err := server.Client().Post(server.URL+"/queued", "application/json", strings.NewReader("{}")) // the server bounds it
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if string(content) != "2 <nil>" {
			t.Errorf("with HTTP/2 %v: got %d %s", http2, response.StatusCode, content)
		}
	}
}

// TestAConnectionIsUsedAgainAfterABodyThatNoHandlerRead sends the body after the response to its
// request has arrived, and then another request.
func TestAConnectionIsUsedAgainAfterABodyThatNoHandlerRead(t *testing.T) {
	server := bodyServer(t, false)
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	reader := bufio.NewReader(conn)
	for range 3 {
		fmt.Fprintf(conn, "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d", response.StatusCode)
		}
		fmt.Fprint(conn, "{}")
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
	}
}
