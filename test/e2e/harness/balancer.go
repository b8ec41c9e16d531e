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

package harness

import (
	"io"
	"net"
	"sync"
)

// Balancer forwards TCP connections to backends in turn, as a Service does. It skips a backend
// that refuses the connection.
type Balancer struct {
	listener net.Listener

	mu       sync.Mutex
	backends []string
	next     int
	open     map[net.Conn]string
}

// NewBalancer listens on a free loopback port.
func NewBalancer() (*Balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Balancer{listener: listener, open: map[net.Conn]string{}}
	go b.serve()
	return b, nil
}

// Port returns the port that it listens on.
func (b *Balancer) Port() int { return b.listener.Addr().(*net.TCPAddr).Port }

// SetBackends replaces the addresses. Connections to others are closed.
func (b *Balancer) SetBackends(addresses ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = addresses
	keep := map[string]bool{}
	for _, address := range addresses {
		keep[address] = true
	}
	for conn, address := range b.open {
		if !keep[address] {
			_ = conn.Close()
		}
	}
}

// Close stops listening and closes every connection.
func (b *Balancer) Close() {
	_ = b.listener.Close()
	b.SetBackends()
}

func (b *Balancer) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		go b.pass(conn)
	}
}

// dial tries each backend once, beginning with the next in turn.
func (b *Balancer) dial() (net.Conn, string) {
	b.mu.Lock()
	backends, first := b.backends, b.next
	b.next++
	b.mu.Unlock()
	for i := range backends {
		address := backends[(first+i)%len(backends)]
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn, address
		}
	}
	return nil, ""
}

func (b *Balancer) pass(client net.Conn) {
	defer client.Close()
	server, address := b.dial()
	if server == nil {
		return
	}
	defer server.Close()
	b.mu.Lock()
	b.open[server] = address
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.open, server)
		b.mu.Unlock()
	}()
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go pipe(server, client)
	go pipe(client, server)
	<-done
}
