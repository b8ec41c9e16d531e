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
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// firstRetry and lastRetry are the bounds of the time between attempts to open the tunnel. All of them have a random
	// part, so that the hosts of a server that was restarted do not come at the same time.
	firstRetry, lastRetry = 500 * time.Millisecond, 15 * time.Second
	// steady is the time after which a tunnel that ends counts as one that worked.
	steady = 30 * time.Second
	// dialTimeout bounds the time until the server has accepted the tunnel.
	dialTimeout = 15 * time.Second
	// maxError bounds the text of a refusal, in bytes.
	maxError = 4 << 10
)

// Serve keeps a tunnel of a host to one of several servers open until the context ends, and serves the requests that
// come through it with the handler. The configuration has the credentials; without servers, it has the server, too. After a
// failure the next server is tried. The connection is its own: what users transfer does not delay heartbeats. connected,
// which may be nil, is called with each change.
func Serve(ctx context.Context, config *rest.Config, servers []*url.URL, host string, handler http.Handler, connected func(bool)) {
	log := klog.FromContext(ctx).WithName("tunnel")
	if connected == nil {
		connected = func(bool) {}
	}
	newBackOff := func() wait.Backoff {
		return wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 1, Steps: 10, Cap: lastRetry}
	}
	backOff, last, next := newBackOff(), "", rand.IntN(max(1, len(servers))) // hosts are spread over the servers; a weak random number is enough
	for ctx.Err() == nil {
		at := rest.CopyConfig(config)
		if len(servers) > 0 {
			at.Host = servers[next%len(servers)].String()
		}
		began := time.Now()
		err := serveOnce(ctx, at, host, handler, connected)
		if ctx.Err() != nil {
			return
		}
		next++
		if time.Since(began) >= steady {
			backOff = newBackOff()
		}
		// Attempts go on while the servers are away: the same text is logged once.
		if text := fmt.Sprint(err); text != last {
			last = text
			log.Info("Tunnel to a server has ended, and is opened again", "server", at.Host, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backOff.Step()):
		}
	}
}

// serveOnce opens the tunnel and serves it until it ends.
func serveOnce(ctx context.Context, config *rest.Config, host string, handler http.Handler, connected func(bool)) error {
	conn, err := dial(ctx, config, host)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	connected(true)
	defer connected(false)
	one := newOneConn(conn)
	server := &http.Server{
		Handler: streams(handler), ReadHeaderTimeout: openTimeout, Protocols: onlyHTTP2(),
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: pingAfter + pingTimeout},
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				_ = one.Close()
			}
		},
	}
	_ = server.Serve(one) // until the connection is closed
	return io.EOF
}

// streams serves a handler by HTTP/1.1 on each stream that CONNECT opens.
func streams(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != authority {
			http.Error(w, "only CONNECT "+authority+" is served", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusOK)
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		ended := make(chan struct{})
		conn := newPiped(r.Body, flushed{w}, func() { close(ended) })
		one := newOneConn(conn)
		server := &http.Server{Handler: handler, ReadHeaderTimeout: openTimeout, BaseContext: func(net.Listener) context.Context { return r.Context() }}
		defer func() { _ = server.Close() }()
		go func() { _ = server.Serve(one) }() // #nosec G114 -- it has a timeout
		select {
		case <-ended:
		case <-r.Context().Done():
		}
		_ = conn.Close()
		_ = one.Close()
	})
}

// flushed is the body of a response whose writes are sent at once.
type flushed struct{ http.ResponseWriter }

// Write implements io.Writer.
func (f flushed) Write(data []byte) (int, error) {
	n, err := f.ResponseWriter.Write(data)
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
	return n, err
}

// Close implements io.Closer. The response ends when its handler returns.
func (f flushed) Close() error { return nil }

// oneConn is a listener that accepts one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newOneConn(conn net.Conn) *oneConn {
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- conn
	return l
}

// Accept implements net.Listener.
func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: Protocol} }

// dial opens the connection and asks for the upgrade.
func dial(ctx context.Context, config *rest.Config, host string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	target := base.JoinPath("apis", v1alpha1.SchemeGroupVersion.Group, v1alpha1.SchemeGroupVersion.Version, "hosts", host, "tunnel")
	conn, err := connect(ctx, config, target)
	if err != nil {
		return nil, err
	}
	upgraded, err := upgrade(ctx, conn, config, target)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return upgraded, nil
}

// connect opens the TLS connection, with the certificate of the host as the configuration has it at present.
func connect(ctx context.Context, config *rest.Config, target *url.URL) (net.Conn, error) {
	transportConfig, err := config.TransportConfig()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := transport.TLSConfigFor(transportConfig)
	if err != nil {
		return nil, err
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig = tlsConfig.Clone()
	tlsConfig.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrade
	if tlsConfig.ServerName == "" {
		tlsConfig.ServerName = target.Hostname()
	}
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), "443")
	}
	dial := (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	if config.Dial != nil {
		dial = config.Dial
	}
	plain, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, tlsConfig)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return conn, nil
}

// upgrade sends the request for the tunnel and reads the response.
func upgrade(ctx context.Context, conn net.Conn, config *rest.Config, target *url.URL) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", Protocol)
	request.Header.Set("User-Agent", config.UserAgent)
	if config.BearerToken != "" {
		request.Header.Set("Authorization", "Bearer "+config.BearerToken)
	}
	if config.Impersonate.UserName != "" { // simulated hosts, of which one user runs many
		request.Header.Set(transport.ImpersonateUserHeader, config.Impersonate.UserName)
		for _, group := range config.Impersonate.Groups {
			request.Header.Add(transport.ImpersonateGroupHeader, group)
		}
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(conn)
	response, err := http.ReadResponse(buffered, request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxError))
		_ = response.Body.Close()
		return nil, fmt.Errorf("the server refuses the tunnel with %d: %s", response.StatusCode, text)
	}
	if response.Header.Get("Upgrade") != Protocol {
		return nil, errors.New("the server switches to another protocol than " + Protocol)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &bufferedConn{conn, buffered}, nil
}

// bufferedConn is a connection of which some bytes have been read.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements net.Conn.
func (c *bufferedConn) Read(data []byte) (int, error) { return c.reader.Read(data) }
