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

package security

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// Bounds for the server to end unfinished connections and bodies: its own timeouts, and a margin
// for a busy machine.
const (
	endsConnections = 90 * time.Second
	endsBodies      = 60 * time.Second
	// crowd is the number of simultaneous connections.
	crowd = 1000
	// trickling is the number of simultaneous slow bodies.
	trickling = 50
)

// connectionAttack is an attack with this many simultaneous connections or requests.
type connectionAttack struct {
	name  string
	what  string
	count int
	play  func(*testing.T, Env)
}

// Connections plays misuse of connections and watches. The server must allow watches watches per
// user. Every user in the group attack-watchers must be allowed to watch path, and created must be the
// path of a collection. If costs are measured, the attacks run one after the other.
func Connections(t *testing.T, env Env, watches int, path, created string) {
	t.Helper()
	t.Run("A user opens one watch too many", func(t *testing.T) { openWatches(t, env, watches, path) })
	t.Run("group", func(t *testing.T) {
		for _, row := range connectionAttacks(created) {
			t.Run(row.name, func(t *testing.T) {
				if env.PID == 0 {
					t.Parallel()
				}
				env.measuredUnits(t, row.name, fmt.Sprintf("%d %s", row.count, row.what), unitsOf(row.count), func() string {
					row.play(t, env)
					return "ended"
				})
			})
		}
	})
	t.Run("The metrics count what was ended and refused", func(t *testing.T) {
		read := metrics.Scrape(t, env.Admin)
		for _, row := range []struct {
			name   string
			labels metrics.Labels
			least  float64
		}{
			{"gatehouse_connections_closed_total", metrics.Labels{"reason": "no request"}, crowd},
			{"gatehouse_slow_bodies_total", nil, trickling},
			{"gatehouse_watches_refused_total", metrics.Labels{"bound": "user"}, 1},
		} {
			if got := read.Sum(row.name, row.labels); got < row.least {
				t.Errorf("%s %v is %v, want %v or more", row.name, row.labels, got, row.least)
			}
		}
	})
}

func connectionAttacks(created string) []connectionAttack {
	return []connectionAttack{
		{"Connections never finish their handshake", "connections", crowd, func(t *testing.T, env Env) { idle(t, env, func(net.Conn) error { return nil }) }},
		{"Connections are silent after their handshake", "connections", crowd, func(t *testing.T, env Env) { idle(t, env, handshake) }},
		{"Connections never finish their headers", "connections", crowd, func(t *testing.T, env Env) { idle(t, env, beginHeaders) }},
		{"A user sends bodies that trickle", "requests", trickling, func(t *testing.T, env Env) {
			trickle(t, env, env.As("attack-slow", "system:masters"), created, http.StatusRequestTimeout)
		}},
		{"A stranger sends bodies that trickle", "requests", trickling, func(t *testing.T, env Env) {
			trickle(t, env, rest.AnonymousClientConfig(env.Admin), created, http.StatusUnauthorized)
		}},
	}
}

// stalls returns functions that begin something on a connection and do not finish it.
func stalls() map[string]func(net.Conn) error {
	return map[string]func(net.Conn) error{
		"connections never finish their handshake":     func(net.Conn) error { return nil },
		"connections are silent after their handshake": handshake,
		"connections never finish their headers":       beginHeaders,
	}
}

// openWatches opens as many watches as one user may have, and one more.
func openWatches(t *testing.T, env Env, most int, path string) {
	t.Helper()
	config := env.As("attack-watcher", "attack-watchers")
	c := newClient(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(c client) (int, string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusOK {
			return response.StatusCode, ""
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Retry-After") + " " + string(body)
	}
	granted, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	newClient(t, env.As("attack-other", "attack-watchers")).awaitCode(granted, t, attack{path: path}, http.StatusOK)
	env.measuredUnits(t, "A user opens one watch too many", fmt.Sprintf("%d watches", most+1), unitsOf(most), func() string {
		for i := range most {
			if code, body := open(c); code != http.StatusOK {
				t.Fatalf("watch %d of %d is answered with %d %s", i, most, code, body)
			}
		}
		code, body := open(c)
		if code != http.StatusTooManyRequests || !strings.Contains(body, "--max-watches-per-user") || strings.HasPrefix(body, " ") {
			t.Errorf("a watch too many is answered with %d %s, want 429 with Retry-After and the flag", code, body)
		}
		return strconv.Itoa(code)
	})
	if code, body := open(newClient(t, env.As("attack-other", "attack-watchers"))); code != http.StatusOK {
		t.Errorf("the watch of another user is answered with %d %s", code, body)
	}
	cancel()
	after, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	// A closed watch frees its slot.
	c.awaitCode(after, t, attack{path: path}, http.StatusOK)
}

func handshake(conn net.Conn) error {
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}).Handshake() // an attacker verifies nothing; bounded by the server
}

// beginHeaders sends the beginning of a header without its end.
func beginHeaders(conn net.Conn) error {
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}) // an attacker verifies nothing
	if err := secure.Handshake(); err != nil {                                                          // bounded by the server
		return err
	}
	_, err := secure.Write([]byte("GET /readyz HTTP/1.1\r\nHost: a\r\nX-Slow: "))
	return err
}

// idle opens a crowd of connections, begins something on each, and waits until the server has
// closed all of them. Other clients are served meanwhile.
func idle(t *testing.T, env Env, begin func(net.Conn) error) {
	t.Helper()
	address := addressOf(t, env.Admin)
	var ended sync.WaitGroup
	deadline := time.Now().Add(endsConnections)
	failures := make(chan error, crowd)
	for range crowd {
		conn, err := net.Dial("tcp", address) // bounded by the deadline
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		ended.Go(func() {
			_ = conn.SetDeadline(deadline)
			if err := begin(conn); err != nil {
				return // the server closed the connection first
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() { // io.Copy returns it as it is
					failures <- err
				}
			}
		})
	}
	// The request uses a separate connection, opened after all the others.
	if code, body := newClient(t, rest.CopyConfig(env.Admin)).send(t, attack{path: "/version"}); code != http.StatusOK {
		t.Errorf("another client is answered with %d %s", code, body)
	}
	ended.Wait()
	if len(failures) > 0 {
		t.Errorf("%d of %d connections are still open after %v: %v", len(failures), crowd, endsConnections, <-failures)
	}
}

func addressOf(t *testing.T, config *rest.Config) string {
	t.Helper()
	u, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// trickle sends several bodies byte by byte, until the server has responded and closed all
// connections.
func trickle(t *testing.T, env Env, config *rest.Config, path string, want int) {
	t.Helper()
	secure, err := rest.TLSConfigFor(config)
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	for range trickling {
		ended.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), endsBodies)
			defer cancel()
			answer, err := trickleBody(ctx, secure, addressOf(t, env.Admin), path)
			switch {
			case ctx.Err() != nil:
				t.Errorf("the connection is still open after %v: %v, %.200s", endsBodies, err, answer)
			case !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", want)):
				t.Errorf("answered with %.500q, want code %d (%v)", answer, want, err)
			}
		})
	}
	ended.Wait()
}

// trickleBody sends a body byte by byte, until the server responds and closes the connection. It
// returns what was received before the connection or the context ended.
func trickleBody(ctx context.Context, secure *tls.Config, address, path string) ([]byte, error) {
	secure = secure.Clone()
	secure.NextProtos = []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n", path); err != nil {
		return nil, err
	}
	answered := make(chan struct{})
	var answer []byte
	var failure error
	go func() {
		defer close(answered)
		answer, failure = io.ReadAll(conn)
	}()
	for {
		select {
		case <-answered:
			return answer, failure
		case <-time.After(100 * time.Millisecond):
			_, _ = conn.Write([]byte(" "))
		}
	}
}
