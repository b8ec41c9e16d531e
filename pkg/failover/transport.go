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

package failover

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

const (
	// connectWithin bounds the time until a connection to a server is established, with TLS. The dialer of
	// client-go would wait for 30 seconds.
	connectWithin = 5 * time.Second
	// suspectAfter is the time without the beginning of a response after which a server is asked whether it is
	// healthy. The request goes on meanwhile: it may just take long.
	suspectAfter = 5 * time.Second
	// probeWithin bounds the time of the response to that question. A server that does not give one is stopped or
	// cut off, though its connections look open.
	probeWithin = 5 * time.Second
	// healthPath is what is asked. Every response below 500 means that the server works: the right to read it may
	// be missing.
	healthPath = "/readyz"
)

// Transport returns a transport that sends the requests of a client to the server in use, through inner.
//
// A request that has not been sent is sent to the next server; so is one without effects (GET) if its connection
// breaks. Any other request fails then, because the server may have executed it. Responses are returned as they
// are, with an error of the server, too. A watch ends as by a broken connection when its server no longer responds
// to questions for its health: clients resume it, at another server.
func (b *Balancer) Transport(inner http.RoundTripper) http.RoundTripper {
	return &transport{balancer: b, inner: inner}
}

type transport struct {
	balancer *Balancer
	inner    http.RoundTripper
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.inner }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var tried []*server
	var errs []error
	for {
		s, err := t.balancer.pick(r.Context(), tried)
		if s == nil {
			closeBody(r)
			if err == nil {
				err = failure(errs)
			}
			return nil, err
		}
		attempt, err := withFreshBody(r, len(tried) > 0)
		if err != nil {
			t.balancer.abandons(s)
			return nil, err
		}
		response, sent, err := t.try(s, attempt)
		if err == nil {
			return response, nil
		}
		tried, errs = append(tried, s), append(errs, fmt.Errorf("%s: %w", s.url.Host, explained(err)))
		if r.Context().Err() != nil || !again(r, sent) {
			return nil, errs[len(errs)-1]
		}
	}
}

// again reports whether a request whose connection failed may be sent to another server.
func again(r *http.Request, sent bool) bool {
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	return !sent || r.Method == "" || r.Method == http.MethodGet || r.Method == http.MethodHead
}

// withFreshBody returns the request with a body that has not been read.
func withFreshBody(r *http.Request, again bool) (*http.Request, error) {
	if !again || r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	fresh := *r
	fresh.Body = body
	return &fresh, nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// explained adds the cure to an error of the server's certificate.
func explained(err error) error {
	var name x509.HostnameError
	if errors.As(err, &name) {
		return fmt.Errorf("%w: start this server with --tls-san %s, or list it by a name in its certificate", err, name.Host)
	}
	return err
}

// exchange is a request that a server has been sent, and its response until the body is closed.
type exchange struct {
	cancel context.CancelCauseFunc
	// connected is set once the request has a connection: from then on the server may have received it.
	connected atomic.Bool
	// watch is set for a request that reads events until one side ends it.
	watch bool
}

// try sends a request to a server. sent reports whether the server may have received it.
func (t *transport) try(s *server, r *http.Request) (response *http.Response, sent bool, err error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	watch, _ := strconv.ParseBool(r.URL.Query().Get("watch"))
	e := &exchange{cancel: cancel, watch: watch}
	t.balancer.begin(s, e)
	response, err = t.send(ctx, s, r, e)
	if err == nil {
		if response.StatusCode >= http.StatusInternalServerError {
			t.suspect(s)
		} else {
			t.balancer.works(s)
		}
		response.Body = &body{
			ReadCloser: response.Body,
			lost:       func() bool { return errors.Is(context.Cause(ctx), errLost) },
			end:        func() { t.balancer.end(s, e); cancel(nil) },
		}
		return response, true, nil
	}
	if cause := context.Cause(ctx); cause != nil && r.Context().Err() == nil {
		err = cause
	}
	t.balancer.end(s, e)
	cancel(nil)
	switch sent = e.connected.Load(); {
	case errors.Is(r.Context().Err(), context.Canceled): // by the client
		t.balancer.abandons(s)
	case !sent:
		t.balancer.fails(s, explained(err))
	default:
		t.suspect(s)
	}
	return nil, sent, err
}

// send sends a request to a server, with the bounds of time.
func (t *transport) send(ctx context.Context, s *server, r *http.Request, e *exchange) (*http.Response, error) {
	defer stopAll(
		t.balancer.clock.AfterFunc(connectWithin, func() {
			if !e.connected.Load() {
				e.cancel(fmt.Errorf("no connection within %s", connectWithin))
			}
		}),
		t.balancer.clock.AfterFunc(suspectAfter, func() {
			if e.connected.Load() {
				t.suspect(s)
			}
		}),
	)
	sent := r.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { e.connected.Store(true) },
	}))
	sent.URL.Scheme, sent.URL.Host, sent.Host = s.url.Scheme, s.url.Host, ""
	return t.inner.RoundTrip(sent)
}

func stopAll(timers ...clock.Timer) {
	for _, timer := range timers {
		timer.Stop()
	}
}

// suspect asks a server for its health, in the background, unless that is being asked already.
func (t *transport) suspect(s *server) {
	if !t.balancer.beginProbe(s) {
		return
	}
	go func() {
		defer t.balancer.endProbe(s)
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		defer t.balancer.clock.AfterFunc(probeWithin, func() { cancel(fmt.Errorf("no response to %s within %s", healthPath, probeWithin)) }).Stop()
		err := t.probe(ctx, s)
		if err == nil {
			t.balancer.works(s)
			return
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		var unhealthy *unhealthyError
		t.balancer.fails(s, err)
		t.balancer.drop(s, errors.As(err, &unhealthy))
	}()
}

// unhealthyError is the response of a server that cannot serve now.
type unhealthyError struct{ status string }

// Error implements error.
func (u *unhealthyError) Error() string { return healthPath + ": " + u.status }

// probe asks for the health of a server.
func (t *transport) probe(ctx context.Context, s *server) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.Scheme+"://"+s.url.Host+healthPath, nil)
	if err != nil {
		return err
	}
	response, err := t.inner.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusInternalServerError {
		return &unhealthyError{response.Status}
	}
	return nil
}

// body ends an exchange when it is closed.
type body struct {
	io.ReadCloser
	lost func() bool
	end  func()
}

// Read implements io.Reader. The end of an exchange by the balancer is that of a broken connection, which clients
// of watches expect: they resume where they were.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.lost() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

func (b *Balancer) begin(s *server, e *exchange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.exchanges[e] = struct{}{}
}

func (b *Balancer) end(s *server, e *exchange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(s.exchanges, e)
}

func (b *Balancer) beginProbe(s *server) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.probing || s.cause != nil && !s.trial {
		return false
	}
	s.probing = true
	return true
}

func (b *Balancer) endProbe(s *server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.probing = false
}

// drop ends the exchanges with a server; only watches if the server still responds, because it may be executing the
// other requests.
func (b *Balancer) drop(s *server, responds bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range s.exchanges {
		if !responds || e.watch {
			e.cancel(errLost)
		}
	}
}
