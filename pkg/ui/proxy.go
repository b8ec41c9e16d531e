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

package ui

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"k8s.io/utils/clock"
)

// Proxy serves the page on a loopback address to one user.
type Proxy struct {
	listener net.Listener
	sessions *Sessions
	handler  *Handler
	link     string
}

// NewProxy opens a port, which is a free one if port is 0, and makes the link of the owner.
//
// Browsers send a cookie to every port of a host. An empty address is a random one of 127.0.0.0/8 where
// the system has them all, so that the cookie is sent to no other program that listens on this machine.
func NewProxy(address string, port int, owner Owner) (*Proxy, error) {
	listener, err := listen(address, port)
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, sessions: NewSessions(ProxyLimits, clock.RealClock{})}
	authority := listener.Addr().String()
	p.handler, err = NewHandler(Config{
		Sessions: p.sessions, Mode: ModeProxy, Authorities: func(*http.Request) []string { return []string{authority} },
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	secret, sum := NewSecret()
	if _, err := p.sessions.Offer(sum, owner); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p.link = Link("http://"+authority, secret)
	return p, nil
}

// Link returns the link to a page with the secret in the fragment, which browsers do not send.
func Link(base, secret string) string { return base + "/ui/#secret=" + secret }

func listen(address string, port int) (net.Listener, error) {
	chosen := address
	if chosen == "" {
		chosen = "127.0.0.1"
		if runtime.GOOS == "linux" {
			chosen = fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
		}
	}
	if ip := net.ParseIP(chosen); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("--address=%s is no loopback address: use 127.0.0.1 or another address that begins with 127", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(chosen, strconv.Itoa(port)))
	if err != nil && address == "" && chosen != "127.0.0.1" {
		return listen("127.0.0.1", port)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another port with --port", net.JoinHostPort(chosen, strconv.Itoa(port)), err)
	}
	return listener, nil
}

// Link returns the link, which starts one session.
func (p *Proxy) Link() string { return p.link }

// stopGrace is the time in which streams get their last line.
const stopGrace = time.Second

// Run serves until the context ends.
func (p *Proxy) Run(ctx context.Context) error {
	return Serve(ctx, p.listener, p.handler, errors.New("kubectl gatehouse ui was stopped: run it again"))
}

// NewServer returns an HTTP server with the bounds of the page: a request consists of small headers, and of a
// secret at most.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
}

// Serve serves a handler until the context ends. The page shows the cause.
func Serve(ctx context.Context, listener net.Listener, handler *Handler, cause error) error {
	server := NewServer(handler)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		handler.Sessions.End(cause)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}
