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

package chaos

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/scheme"
)

// sentFor is the maximum duration of a request after its sender has stopped waiting.
const sentFor = 30 * time.Second

var errSevered = errors.New("the transport is severed")

// faultTransport is the faulty connection of one process to the server.
type faultTransport struct {
	name   string
	faults *faults
	// answered is called for each request that the server has answered without an error.
	answered func(kind)

	mu    sync.Mutex
	asked map[kind]int
	// whole ends when the transport is severed.
	whole context.Context
	sever context.CancelCauseFunc
	// lost are the instances that were created without a response to the client.
	lost map[types.UID]bool
	// sent are the requests that may have outlived their sender.
	sent sync.WaitGroup
}

func newTransport(name string, w *faults, answered func(kind)) *faultTransport {
	l := &faultTransport{name: name, faults: w, answered: answered, asked: map[kind]int{}, lost: map[types.UID]bool{}}
	l.repair()
	return l
}

// config returns a configuration for the same server over this transport.
func (l *faultTransport) config(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.WrapTransport = func(next http.RoundTripper) http.RoundTripper { return &wire{l, next} }
	return config
}

// repair ends a disconnection. New requests are sent again.
func (l *faultTransport) repair() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.whole == nil || l.whole.Err() != nil {
		l.whole, l.sever = context.WithCancelCause(context.Background())
	}
}

// disconnect breaks all connections, and blocks requests until repair.
func (l *faultTransport) disconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sever(errSevered)
}

// flicker breaks all connections once.
func (l *faultTransport) flicker() {
	l.disconnect()
	l.repair()
}

func (l *faultTransport) ask(k kind) (n int, whole context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[k]++
	return l.asked[k], l.whole
}

// wire is the http.RoundTripper of a transport.
type wire struct {
	transport *faultTransport
	next      http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	k := kindOf(request)
	n, whole := w.transport.ask(k)
	if whole.Err() != nil {
		return nil, reset()
	}
	f := w.transport.faults.next(w.transport.name, k, n)
	switch f {
	case unsent:
		return nil, reset()
	case conflict, tooMany, internal, unavailable, expired:
		return f.status(request), nil
	}
	var response *http.Response
	var err error
	switch k.method {
	case "WATCH", http.MethodGet:
		response, err = w.read(request, whole, k, n)
	default:
		response, err = w.write(request, whole, k, f)
	}
	if err != nil {
		return nil, err
	}
	if f == unanswered && k.method == http.MethodGet {
		_ = response.Body.Close()
		return nil, reset()
	}
	if response.StatusCode < http.StatusBadRequest {
		w.transport.answered(k)
	}
	return response, nil
}

// read ends with the context of its sender, and with the transport.
func (w *wire) read(request *http.Request, whole context.Context, k kind, n int) (*http.Response, error) {
	ctx, end := context.WithCancel(request.Context())
	stop := context.AfterFunc(whole, end)
	response, err := w.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		stop()
		end()
		if whole.Err() != nil {
			err = reset()
		}
		return nil, err
	}
	b := &body{ReadCloser: response.Body, whole: whole, end: func() { stop(); end() }}
	if k.method == "WATCH" {
		b.left, b.faults = w.transport.faults.cutAfter(w.transport.name, k, n), w.transport.faults
		b.rude = n%2 == 0
	}
	response.Body = b
	return response, nil
}

// body is the body of a response, which may be cut.
type body struct {
	io.ReadCloser
	whole context.Context
	end   func()
	// left counts reads until a watch is cut, by an error or by its end.
	left   int
	rude   bool
	faults *faults
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.whole.Err() != nil {
		return 0, reset()
	}
	if b.left > 0 {
		if b.left--; b.left == 0 && b.faults.cuts() {
			if b.rude {
				return 0, reset()
			}
			return 0, io.EOF
		}
	}
	return n, err
}

func (b *body) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

// write sends a request that cannot be undone: it continues after its sender has stopped.
func (w *wire) write(request *http.Request, whole context.Context, k kind, f fault) (*http.Response, error) {
	type answer struct {
		response *http.Response
		err      error
	}
	answers := make(chan answer, 1)
	w.transport.sent.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(request.Context()), sentFor)
		defer cancel()
		if f == slow {
			wait, stop := context.WithTimeout(ctx, latest)
			<-wait.Done()
			stop()
		}
		response, err := w.next.RoundTrip(request.WithContext(ctx))
		if err == nil {
			err = slurp(response)
		}
		answers <- answer{response, err}
	})
	var a answer
	var err error
	select {
	case a = <-answers:
		if f != unanswered {
			return a.response, a.err
		}
		answers <- a
		err = reset()
	case <-whole.Done():
		err = reset()
	case <-request.Context().Done():
		err = request.Context().Err()
	}
	w.transport.sent.Go(func() {
		if a := <-answers; a.err == nil {
			w.transport.lose(k, a.response)
		}
	})
	return nil, err
}

// slurp reads the response into memory, so that it does not end with its request.
func slurp(response *http.Response) error {
	all, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(all))
	return err
}

// lose records the instance of a lost response.
func (l *faultTransport) lose(k kind, response *http.Response) {
	if k.method != http.MethodPost || k.resource != "instances" || response.StatusCode != http.StatusCreated {
		return
	}
	all, err := io.ReadAll(response.Body)
	if err != nil {
		return
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(all, nil, nil)
	if instance, ok := object.(*v1alpha1.Instance); ok && err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost[instance.UID] = true
	}
}
