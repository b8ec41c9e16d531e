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
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// fleet are servers in memory: a transport that answers by the host of a request.
type fleet struct {
	mu       sync.Mutex
	behaves  map[string]behaviour
	received []string // METHOD host/path, without questions for health
	probes   int
}

// behaviour is what a server does with a request.
type behaviour struct {
	refuses error           // no connection
	breaks  error           // the connection breaks after the request was sent
	status  int             // 200 if zero
	silent  bool            // connects, and never responds
	cutOff  bool            // never connects
	health  int             // status of /readyz; that of other requests if zero
	held    <-chan struct{} // connects, and responds once it is closed
}

func (f *fleet) set(host string, b behaviour) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaves[host] = b
}

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	b := f.behaves[r.URL.Host]
	if r.URL.Path == healthPath {
		f.probes++
		if b.health != 0 {
			b.status = b.health
		}
	} else {
		f.received = append(f.received, r.Method+" "+r.URL.Host+r.URL.Path)
	}
	f.mu.Unlock()
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if b.cutOff {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if b.refuses != nil {
		return nil, b.refuses
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	var content []byte
	if r.Body != nil {
		content, _ = io.ReadAll(r.Body)
	}
	if b.silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if b.held != nil {
		<-b.held
	}
	if b.breaks != nil {
		return nil, b.breaks
	}
	if b.status == 0 {
		b.status = http.StatusOK
	}
	stream, end := io.Pipe()
	if r.URL.Query().Has("watch") && b.status == http.StatusOK {
		context.AfterFunc(r.Context(), func() { _ = end.CloseWithError(r.Context().Err()) })
	} else {
		go func() { _, _ = end.Write(content); _ = end.Close() }()
	}
	return &http.Response{StatusCode: b.status, Status: fmt.Sprint(b.status), Body: stream, Header: http.Header{}}, nil
}

func (f *fleet) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.received = nil }()
	return strings.Join(f.received, ", ")
}

type rig struct {
	*fleet
	t        *testing.T
	clock    *clocktesting.FakeClock
	balancer *Balancer
	client   http.RoundTripper
}

// newRig returns a client of the servers a, b and so on, with a clock that stands still and no jitter.
func newRig(t *testing.T, servers int) *rig {
	t.Helper()
	var urls []string
	for i := range servers {
		urls = append(urls, fmt.Sprintf("https://%c:1", 'a'+i))
	}
	parsed, err := Parse(urls)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{fleet: &fleet{behaves: map[string]behaviour{}}, t: t, clock: clocktesting.NewFakeClock(time.Unix(0, 0))}
	r.balancer = newBalancer(parsed, r.clock)
	r.balancer.jitter = func() float64 { return 0 }
	r.client = r.balancer.Transport(r.fleet)
	return r
}

// send returns the content of the response, or the error.
func (r *rig) send(ctx context.Context, method, content string) (string, error) {
	var sent io.Reader
	if content != "" {
		sent = strings.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://first:1/x", sent)
	if err != nil {
		return "", err
	}
	response, err := r.client.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	received, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(received)), err
}

// watch opens a watch; its end is sent.
func (r *rig) watch() <-chan error {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://first:1/x?watch=true", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	watch, err := r.client.RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(watch.Body)
		_ = watch.Body.Close()
		ended <- err
	}()
	return ended
}

func (r *rig) get() error {
	_, err := r.send(r.t.Context(), http.MethodGet, "")
	return err
}

// takes expects that a GET is taken by these servers, in this order.
func (r *rig) takes(want string) {
	r.t.Helper()
	if err := r.get(); err != nil {
		r.t.Error(err)
	}
	r.takenBy(want)
}

func (r *rig) takenBy(want string) {
	r.t.Helper()
	if got := strings.NewReplacer("GET ", "", "PUT ", "", ":1/x", "").Replace(r.took()); got != want {
		r.t.Errorf("taken by %q, want %q", got, want)
	}
}

// down waits until the server is known to have failed.
func (r *rig) down(n int) {
	r.t.Helper()
	kit.Eventually(r.t, "the server is known to have failed", func(context.Context) bool {
		r.balancer.mu.Lock()
		defer r.balancer.mu.Unlock()
		return r.balancer.servers[n].cause != nil
	})
}

var (
	errRefused = errors.New("connection refused")
	errBroken  = errors.New("connection reset by peer")
)
