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
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// A body must begin within bodyGrace, and then come at bodyRate or faster. Without a bound a
// client that sends a byte now and then holds a connection for good, and with it one of the
// seats that flow control shares out.
const (
	bodyGrace = 10 * time.Second
	bodyRate  = 16 << 10 // bytes a second
	// discardTime is how long the rest of a body may take that no handler has read. The server
	// reads a part of it, to use the connection again.
	discardTime = 5 * time.Second
)

// Wrap goes around the whole handler chain: it counts the requests of each connection, and
// bounds the time in which their bodies arrive.
func (c *Connections) Wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := c.begin(r.RemoteAddr)
		defer end()
		if r.Body == nil || r.Body == http.NoBody {
			handler.ServeHTTP(w, r)
			return
		}
		body := newSlowBody(http.NewResponseController(w), r.Body, bodyGrace, bodyRate)
		defer body.leave(discardTime)
		// A copy, since the server keeps the request to close its body.
		shallow := *r
		shallow.Body = body
		handler.ServeHTTP(w, &shallow)
	})
}

// deadliner is what a http.ResponseController is needed for.
type deadliner interface {
	SetReadDeadline(time.Time) error
}

// slowBody is a body that must arrive in time.
type slowBody struct {
	io.ReadCloser
	connection deadliner
	grace      time.Duration
	rate       int64

	mu      sync.Mutex
	began   time.Time
	read    int64
	timer   *time.Timer
	late    bool
	ended   bool
	leaving bool
}

func newSlowBody(connection deadliner, body io.ReadCloser, grace time.Duration, rate int64) *slowBody {
	b := &slowBody{ReadCloser: body, connection: connection, grace: grace, rate: rate, began: time.Now()}
	b.timer = time.AfterFunc(grace, b.expire)
	return b
}

// allowed is how long what was read so far may have taken.
func (b *slowBody) allowed() time.Duration {
	return b.grace + time.Duration(b.read)*time.Second/time.Duration(b.rate)
}

// expire interrupts the read that waits, unless more has come since the timer was set.
func (b *slowBody) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.leaving {
		return
	}
	if left := b.allowed() - time.Since(b.began); left > 0 {
		b.timer.Reset(left)
		return
	}
	b.late = true
	slowBodies.Inc()
	_ = b.connection.SetReadDeadline(time.Unix(1, 0))
}

// Read implements io.Reader. A body that is too slow ends in 408.
func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	if err == io.EOF { //nolint:errorlint // an io.Reader returns it as it is
		b.ended = true
		b.timer.Stop()
		return n, err
	}
	if err != nil && b.late {
		return n, b.refusal()
	}
	return n, err
}

func (b *slowBody) refusal() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusRequestTimeout,
		Reason: metav1.StatusReasonTimeout,
		Message: fmt.Sprintf("the body of the request arrived too slowly (%d bytes in %v): it must begin within %v and come at %d bytes a second or faster: send the request again",
			b.read, time.Since(b.began).Round(time.Second), b.grace, b.rate),
	}}
}

// leave is called when the request was answered. What has not been read by then the server may
// want to discard, in a bounded time.
func (b *slowBody) leave(discard time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = true
	b.timer.Stop()
	if !b.ended && !b.late {
		_ = b.connection.SetReadDeadline(time.Now().Add(discard))
	}
}

// Authenticator tells of each connection whether the requests on it are authenticated.
func (c *Connections) Authenticator(inner authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(r)
		if ok && err == nil && response != nil && response.User != nil && response.User.GetName() != user.Anonymous {
			c.authenticated(r.RemoteAddr, response.User.GetName())
		}
		return response, ok, err
	})
}
