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
	"container/list"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

const (
	// firstRequest is the maximum age of a connection without a request, including the TLS
	// handshake and the headers. It equals the ReadHeaderTimeout of
	// k8s.io/apiserver, which restarts after the handshake and does not apply to HTTP/2.
	firstRequest = 32 * time.Second
	// writeStall is the maximum duration of a write to a connection. The server closes the connection
	// of a client that does not read its responses.
	writeStall = time.Minute
	// keepAlive is that of k8s.io/apiserver, which cannot set it on a wrapped connection.
	keepAlive = 3 * time.Minute
	// crowd is the number of connections of a user up to which none of them is closed to make
	// space for others.
	crowd = 8
	// warnPause is the time between two log messages that no connection is accepted.
	warnPause = time.Minute
)

// Connections is a listener that bounds the number of open connections. For a new one it closes,
// in this order, the oldest that has not authenticated, or the oldest idle one of the user with
// the most. If there is none to close, it stops accepting until a client closes one: the kernel
// keeps further ones in its backlog.
type Connections struct {
	net.Listener
	max int

	// These are the constants of similar names, except in tests.
	firstRequest, writeStall, bodyGrace, discard time.Duration
	bodyRate                                     int64

	mu    sync.Mutex
	space sync.Cond
	// open has the connections by the client's address, as requests have it.
	open map[string]*connection
	// strangers have not authenticated, users have; both are oldest first.
	strangers *list.List
	users     map[string]*list.List
	closed    bool
	warned    time.Time
}

// NewConnections wraps a listener. max must be at least 1.
func NewConnections(listener net.Listener, max int) *Connections {
	c := &Connections{
		Listener: listener, max: max, firstRequest: firstRequest, writeStall: writeStall,
		bodyGrace: bodyGrace, bodyRate: bodyRate, discard: discardTime,
		open: map[string]*connection{}, strangers: list.New(), users: map[string]*list.List{},
	}
	c.space.L = &c.mu
	register()
	connectionsLimit.Set(float64(max))
	return c
}

// connection is one connection of a client.
type connection struct {
	net.Conn
	owner *Connections
	// address is the client's.
	address string
	timer   *time.Timer
	// bounded is true while the HTTP server or TLS bounds the time of writes.
	bounded atomic.Bool
	// discarding is set while the server discards the rest of a body, and spoilt after it has given
	// up: bytes that arrive later are not the next request.
	discarding, spoilt atomic.Bool

	// The owner's lock guards the rest. user is empty for a stranger, place is the element of its
	// list, and requests is the number of requests in flight.
	user     string
	place    *list.Element
	requests int
	gone     bool
}

// Accept implements net.Listener.
func (c *Connections) Accept() (net.Conn, error) {
	accepted, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := accepted.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive})
	}
	conn := &connection{Conn: accepted, owner: c, address: accepted.RemoteAddr().String()}
	conn.timer = time.AfterFunc(c.firstRequest, func() {
		connectionsClosed.WithLabelValues("no request").Inc()
		_ = conn.Close()
	})
	c.add(conn)
	return conn, nil
}

// add returns when there is space for the connection.
func (c *Connections) add(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn.address] = conn
	conn.place = c.strangers.PushBack(conn)
	for len(c.open) > c.max && !c.closed && !conn.gone {
		if victim, why := c.victim(conn); victim != nil {
			connectionsClosed.WithLabelValues(why).Inc()
			c.forget(victim)
			_ = victim.Conn.Close()
			continue
		}
		if now := time.Now(); now.Sub(c.warned) > warnPause {
			c.warned = now
			klog.InfoS("Connections are not accepted until one is closed: the limit of open files is reached", "severity", "warn", "connections", len(c.open), "limit", c.max)
		}
		c.space.Wait()
	}
}

// victim returns the connection to close for another, and the reason.
func (c *Connections) victim(but *connection) (*connection, string) {
	for at := c.strangers.Front(); at != nil; at = at.Next() {
		if conn := at.Value.(*connection); conn != but { // nothing else is in the list
			return conn, "not authenticated"
		}
	}
	most := crowd
	var found *connection
	for _, theirs := range c.users {
		if theirs.Len() <= most {
			continue
		}
		for at := theirs.Front(); at != nil; at = at.Next() {
			if conn := at.Value.(*connection); conn.requests == 0 { // nothing else is in the list
				found, most = conn, theirs.Len()
				break
			}
		}
	}
	return found, "idle"
}

// forget removes a connection from the lists.
func (c *Connections) forget(conn *connection) {
	if conn.gone {
		return
	}
	conn.gone = true
	conn.timer.Stop()
	if c.open[conn.address] == conn {
		delete(c.open, conn.address)
	}
	c.listOf(conn.user).Remove(conn.place)
	if theirs := c.users[conn.user]; theirs != nil && theirs.Len() == 0 {
		delete(c.users, conn.user)
	}
	c.space.Broadcast()
}

func (c *Connections) listOf(user string) *list.List {
	if user == "" {
		return c.strangers
	}
	theirs := c.users[user]
	if theirs == nil {
		theirs = list.New()
		c.users[user] = theirs
	}
	return theirs
}

// begin is called at the start of each request, and the function that it returns at the end. It
// returns the request's connection, or nil.
func (c *Connections) begin(address string) (*connection, func()) {
	c.mu.Lock()
	conn := c.open[address]
	if conn != nil {
		conn.timer.Stop()
		conn.requests++
	}
	c.mu.Unlock()
	if conn == nil {
		return nil, func() {}
	}
	conn.discarding.Store(false)
	return conn, func() {
		c.mu.Lock()
		conn.requests--
		c.mu.Unlock()
	}
}

// Authenticated is called for each authenticated request. A connection belongs to the user of its
// first one: that of a front proxy carries requests of many users.
func (c *Connections) Authenticated(address, user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.open[address]
	if conn == nil || conn.user != "" || user == "" {
		return
	}
	c.strangers.Remove(conn.place)
	conn.user = user
	conn.place = c.listOf(user).PushBack(conn)
}

// numbers returns the number of connections, and of those that have not authenticated.
func (c *Connections) numbers() (all, strangers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), c.strangers.Len()
}

// Close implements net.Listener.
func (c *Connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.space.Broadcast()
	c.mu.Unlock()
	return c.Listener.Close()
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.owner.mu.Lock()
	c.owner.forget(c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) {
	if c.spoilt.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	if err != nil && c.discarding.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		c.spoilt.Store(true)
	}
	return n, err
}

// Write implements net.Conn.
func (c *connection) Write(p []byte) (int, error) {
	if !c.bounded.Load() {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.owner.writeStall)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline implements net.Conn.
func (c *connection) SetWriteDeadline(t time.Time) error {
	c.bounded.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *connection) SetDeadline(t time.Time) error {
	c.bounded.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}
