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
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Protocol is the protocol in the Upgrade header of the request that opens a tunnel.
const Protocol = v1alpha1.Domain + "/tunnel-v1"

// The bounds of a tunnel. An agent may be compromised, so the server bounds what it takes.
const (
	// maxStreams is the number of streams of a tunnel at a time, and so of logs, commands and forwarded ports of a host.
	maxStreams = 256
	// streamWindow and connectionWindow are the bytes that are received before they are read.
	streamWindow, connectionWindow = 256 << 10, 1 << 20
	// maxHeader bounds the header of the response to CONNECT, in bytes.
	maxHeader = 4 << 10
	// pingAfter is the silence after which an end sends a ping, and pingTimeout the time until the connection counts as
	// dead without a response. Both together are less than the shortest time after which a host counts as away.
	pingAfter, pingTimeout = 15 * time.Second, 10 * time.Second
	// openTimeout bounds the time until the agent has accepted a stream.
	openTimeout = 10 * time.Second
)

// authority is that of CONNECT requests. An agent serves nothing else.
const authority = "instances"

// ErrNotConnected is the error for a host without a tunnel to this server.
var ErrNotConnected = errors.New("the host is connected to no server")

// errReplaced ends a tunnel when its host has opened another one.
var errReplaced = errors.New("the host has opened another tunnel")

// Registry has the tunnels of hosts that end at this server. The newest tunnel of a host counts.
type Registry struct {
	transport *http.Transport

	mu      sync.Mutex
	tunnels map[string]*tunnel
}

type tunnel struct {
	client *http.ClientConn
	conn   *notedConn
}

// taken is the key of the connection in the context of NewClientConn: it has been opened by the agent.
type taken struct{}

// NewRegistry returns a registry without tunnels.
func NewRegistry() *Registry {
	// The bounds of the receiving end.
	config := &http.HTTP2Config{
		MaxReceiveBufferPerConnection: connectionWindow, MaxReceiveBufferPerStream: streamWindow,
		SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: pingAfter + pingTimeout,
	}
	return &Registry{tunnels: map[string]*tunnel{}, transport: &http.Transport{
		Protocols: onlyHTTP2(), HTTP2: config, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, ok := ctx.Value(taken{}).(net.Conn)
			if !ok {
				return nil, errors.New("tunnels are opened by agents")
			}
			return conn, nil
		},
	}}
}

// onlyHTTP2 returns the protocol in a tunnel. The connection below it is encrypted.
func onlyHTTP2() *http.Protocols {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// Hold serves the tunnel of a host on a connection until it ends, or the context, and closes the connection. The caller
// has authenticated the host.
func (r *Registry) Hold(ctx context.Context, host string, conn net.Conn) error {
	noted := &notedConn{Conn: conn, closed: make(chan struct{})}
	defer func() { _ = noted.Close() }()
	client, err := r.transport.NewClientConn(context.WithValue(ctx, taken{}, net.Conn(noted)), "http", authority+":80")
	if err != nil {
		return fmt.Errorf("the tunnel of host %s does not speak HTTP/2: %w", host, err)
	}
	t := &tunnel{client, noted}
	r.mu.Lock()
	before := r.tunnels[host]
	r.tunnels[host] = t
	r.mu.Unlock()
	if before != nil {
		before.conn.end(errReplaced)
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.tunnels[host] == t {
			delete(r.tunnels, host)
		}
	}()
	select {
	case <-ctx.Done():
		noted.end(context.Cause(ctx)) // it may have ended before: net/http ends the context then
	case <-noted.closed:
	}
	return noted.cause()
}

// Accept takes the connection of a request for a tunnel over. The error is a bad request if the request does not ask for
// the protocol, and nothing has been written then.
func Accept(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	if r.Header.Get("Upgrade") != Protocol {
		return nil, apierrors.NewBadRequest("a tunnel needs the header Upgrade: " + Protocol + ", by HTTP/1.1: the agent of the host opens it")
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, apierrors.NewBadRequest("a tunnel needs HTTP/1.1: " + err.Error())
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Protocol)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &bufferedConn{conn, buffered.Reader}, nil
}

// Hosts returns the names of hosts with tunnels, sorted.
func (r *Registry) Hosts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.tunnels))
	for name := range r.tunnels {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Connected returns true if a host has a tunnel to this server.
func (r *Registry) Connected(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tunnels[host] != nil
}

// Dial opens a stream to the agent of a host. The stream ends with the context. The error wraps
// ErrNotConnected if the host has no tunnel to this server.
func (r *Registry) Dial(ctx context.Context, host string) (net.Conn, error) {
	r.mu.Lock()
	t := r.tunnels[host]
	r.mu.Unlock()
	if t == nil {
		return nil, ErrNotConnected
	}
	if err := t.client.Reserve(); err != nil {
		if t.client.Err() != nil {
			return nil, ErrNotConnected
		}
		return nil, fmt.Errorf("host %s has %d open streams, which is the maximum: end some logs, commands or forwarded ports", host, maxStreams)
	}
	toAgent, body := io.Pipe()
	ctx, cancel := context.WithCancelCause(ctx)
	// The client notices the end of the context only between two reads of the body.
	context.AfterFunc(ctx, func() { _ = body.CloseWithError(context.Cause(ctx)) })
	opened := time.AfterFunc(openTimeout, func() { cancel(fmt.Errorf("host %s accepted no stream in %s", host, openTimeout)) })
	request := (&http.Request{
		Method: http.MethodConnect, URL: &url.URL{Scheme: "http", Host: authority}, Host: authority, Header: http.Header{}, Body: toAgent, ContentLength: -1,
	}).WithContext(ctx)
	response, err := t.client.RoundTrip(request)
	if err == nil && !opened.Stop() {
		err = context.Cause(ctx)
	}
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("host %s refused a stream with %d", host, response.StatusCode)
	}
	if err != nil {
		err = errors.Join(context.Cause(ctx), err)
		cancel(err)
		return nil, err
	}
	return newPiped(response.Body, body, func() { cancel(net.ErrClosed) }), nil
}

// notedConn is a connection whose close is noted. The HTTP/2 client closes it when it fails.
type notedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
	err    error
}

// Close implements net.Conn.
func (c *notedConn) Close() error {
	c.end(io.EOF)
	return nil
}

// end closes the connection with a cause, once.
func (c *notedConn) end(cause error) {
	c.once.Do(func() {
		c.err = cause
		close(c.closed)
		_ = c.Conn.Close()
	})
}

// cause returns why the connection was closed; io.EOF without a special cause.
func (c *notedConn) cause() error { return c.err }
