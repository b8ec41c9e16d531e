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
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// patience bounds every wait for a condition; only a failing test takes that long.
const patience = time.Minute

// listen returns a listener with a maximum of connections, which reads from them until they end,
// and a function that connects to it.
func listen(t *testing.T, most int, change ...func(*Connections)) (*Connections, func() net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0") // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	c := NewConnections(inner, most)
	for _, f := range change {
		f(c)
	}
	t.Cleanup(func() { _ = c.Close() })
	accepted := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := c.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	return c, func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", inner.Addr().String()) // ends with the test
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		select {
		case <-accepted:
		case <-time.After(patience):
			t.Fatal("the connection is not accepted")
		}
		return conn
	}
}

// wantClosed waits until the server has closed the connection.
func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func (c *Connections) holds(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[conn.LocalAddr().String()] != nil
}

func wantOpen(t *testing.T, c *Connections, conns ...net.Conn) {
	t.Helper()
	for i, conn := range conns {
		if !c.holds(conn) {
			t.Errorf("connection %d was closed", i)
		}
	}
}

func TestTheOldestUnauthenticatedConnectionIsClosedFirst(t *testing.T) {
	c, dial := listen(t, 3)
	known := dial()
	c.Authenticated(known.LocalAddr().String(), "alice")
	first, second := dial(), dial()
	third := dial()
	wantClosed(t, first)
	wantOpen(t, c, known, second, third)
	fourth := dial()
	wantClosed(t, second)
	wantOpen(t, c, known, third, fourth)
}

func TestTheOldestIdleConnectionOfTheUserWithTheMostIsClosed(t *testing.T) {
	c, dial := listen(t, crowd+3)
	add := func(user string) net.Conn {
		conn := dial()
		c.Authenticated(conn.LocalAddr().String(), user)
		return conn
	}
	bob := []net.Conn{add("bob"), add("bob")}
	var alice []net.Conn
	for range crowd + 1 {
		alice = append(alice, add("alice"))
	}
	_, answered := c.begin(alice[0].LocalAddr().String())
	newcomer := dial()
	wantClosed(t, alice[1])
	wantOpen(t, c, append(append(bob, newcomer, alice[0]), alice[2:]...)...)
	answered()
}

func TestAcceptWaitsWhereNoConnectionCanBeClosed(t *testing.T) {
	c, dial := listen(t, 2)
	var known []net.Conn
	for range 2 {
		conn := dial()
		c.Authenticated(conn.LocalAddr().String(), "alice")
		known = append(known, conn)
	}
	waiting := make(chan net.Conn)
	go func() { waiting <- dial() }()
	kit.Eventually(t, "the connection waits", func(context.Context) bool { return c.waiting() > 0 })
	select {
	case <-waiting:
		t.Fatal("a connection beyond the limit was accepted")
	case <-time.After(50 * time.Millisecond): // nothing should happen in this time
	}
	wantOpen(t, c, known...)
	_ = known[0].Close()
	newcomer := <-waiting
	wantOpen(t, c, known[1], newcomer)
}

// waiting returns the number of connections beyond the limit.
func (c *Connections) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, len(c.open)-c.max)
}

func TestAConnectionWithoutARequestIsClosed(t *testing.T) {
	c, dial := listen(t, 10, func(c *Connections) { c.firstRequest = 50 * time.Millisecond })
	silent, asking := dial(), dial()
	_, answered := c.begin(asking.LocalAddr().String())
	wantClosed(t, silent)
	answered()
	wantOpen(t, c, asking)
}

func TestTheConnectionOfAClientThatDoesNotReadIsClosed(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0") // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	c := NewConnections(inner, 1)
	c.writeStall = 50 * time.Millisecond
	defer c.Close()
	client, err := net.Dial("tcp", inner.Addr().String()) // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := c.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	failed := make(chan error, 1)
	go func() {
		for {
			if _, err := server.Write(make([]byte, 1<<20)); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
	case <-time.After(patience):
		t.Error("the server writes forever")
	}
}

func TestDescriptorsAreReserved(t *testing.T) {
	for _, tc := range []struct {
		name  string
		limit uint64
		want  int // 0: too few to start with
	}{
		{"a small limit", 256, 176},
		{"that of a service", 1024, 896},
		{"a large one", 1 << 16, 1<<16 - 1<<12 - 64},
		{"none", 1<<64 - 1, 1<<20 - 1<<16 - 64},
		{"the smallest", uint64(least()), fewest},
		{"too small a one", uint64(least()) - 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := connectionsWithin(tc.limit)
			if got != tc.want || (err != nil) != (tc.want == 0) {
				t.Errorf("got %d, %v, want %d", got, err, tc.want)
			}
		})
	}
}
