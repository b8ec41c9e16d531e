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

// Reads of a body may wait bodyGrace in total, plus the time at bodyRate for what has arrived. Without a
// bound a client that sends a byte now and then would occupy a connection forever, and with it a
// seat of flow control. The time between reads does not count: a request that waits for a seat reads
// nothing.
const (
	bodyGrace = 10 * time.Second
	bodyRate  = 16 << 10 // bytes a second
	// stall is the additional time after which a waiting read is interrupted. A body that arrives
	// in small pieces is refused between two of them, with a message. Interrupting a read ends
	// the connection, and with HTTP/1.1 the client gets 504 without a message.
	stall = time.Second
	// discardTime bounds the rest of a body that no handler has read. The server reads a part of
	// it to reuse the connection. Of a body that was too slow it reads what arrives until the
	// client has its response.
	discardTime, discardLateTime = 5 * time.Second, 500 * time.Millisecond
	// discardBytes is how much of such a rest is read: as much as net/http reads after a handler.
	discardBytes = 256 << 10
)

// Wrap wraps the whole handler chain: it counts the requests of each connection and bounds the
// time in which their bodies arrive.
func (c *Connections) Wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, end := c.begin(r.RemoteAddr)
		defer end()
		if r.Body == nil || r.Body == http.NoBody {
			handler.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		// Without it the server reads the rest of a body before it sends the headers of the
		// response, for an unbounded time. HTTP/2 does not.
		_ = control.EnableFullDuplex()
		body := newSlowBody(control, r.Body, c.bodyGrace, c.bodyRate)
		aborted := true
		defer func() {
			if body.leave(c.discard) || conn == nil || r.ProtoMajor != 1 {
				return
			}
			conn.discarding.Store(true)
			if !aborted { // or Flush would send a header that the handler has not
				_ = control.Flush()
				conn.discarding.Store(!body.drain(r.ContentLength))
			}
		}()
		// A copy, since the server keeps the request to close its body.
		shallow := *r
		shallow.Body = body
		handler.ServeHTTP(w, &shallow)
		aborted = false
	})
}

// deadliner is the used part of http.ResponseController.
type deadliner interface {
	SetReadDeadline(time.Time) error
}

// slowBody is a body that must arrive in time.
type slowBody struct {
	io.ReadCloser
	connection deadliner
	grace      time.Duration
	rate       int64

	mu sync.Mutex
	// since is when the read that waits began, and zero while none does; waited is what earlier
	// ones took.
	since   time.Time
	waited  time.Duration
	read    int64
	timer   *time.Timer
	late    bool
	ended   bool
	closed  bool
	leaving bool
}

func newSlowBody(connection deadliner, body io.ReadCloser, grace time.Duration, rate int64) *slowBody {
	b := &slowBody{ReadCloser: body, connection: connection, grace: grace, rate: rate}
	b.timer = time.AfterFunc(grace+stall, b.expire)
	b.timer.Stop()
	return b
}

// spent returns how long reads have waited.
func (b *slowBody) spent() time.Duration {
	if b.since.IsZero() {
		return b.waited
	}
	return b.waited + time.Since(b.since)
}

// allowed returns how long reads may have waited for what has arrived.
func (b *slowBody) allowed() time.Duration {
	return b.grace + time.Duration(b.read)*time.Second/time.Duration(b.rate)
}

// expire interrupts the waiting read, unless bytes have arrived since the timer was set.
func (b *slowBody) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.leaving || b.since.IsZero() {
		return
	}
	if left := b.allowed() - b.spent(); !b.late && left > 0 {
		b.timer.Reset(left + stall)
		return
	}
	b.tooLate()
	_ = b.connection.SetReadDeadline(time.Unix(1, 0))
}

// tooLate refuses a body, once.
func (b *slowBody) tooLate() {
	if !b.late {
		b.late = true
		slowBodies.Inc()
	}
}

// Read implements io.Reader. A body that is too slow ends in 408.
func (b *slowBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.since = time.Now()
	if !b.leaving {
		b.timer.Reset(max(b.allowed()-b.waited, 0) + stall)
	}
	b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
	b.waited, b.since = b.spent(), time.Time{}
	b.read += int64(n)
	if err == io.EOF { // an io.Reader returns it as it is
		b.ended = true
		return n, err
	}
	if b.waited > b.allowed() {
		b.tooLate()
	}
	if b.late {
		return n, b.refusal()
	}
	return n, err
}

// Close implements io.Closer. It does not close the server's body, which would read the rest of it
// while the handler waits; the server does so after the response.
func (b *slowBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *slowBody) refusal() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusRequestTimeout,
		Reason: metav1.StatusReasonTimeout,
		Message: fmt.Sprintf("the body of the request arrived too slowly (%d bytes in %v): it must begin within %v and come at %d bytes a second or faster: send the request again",
			b.read, b.spent().Round(time.Second), b.grace, b.rate),
	}}
}

// leave is called at the end of a request and reports whether the whole body was read. The server
// may discard the rest, in a bounded time.
func (b *slowBody) leave(discard time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = true
	b.timer.Stop()
	if b.late {
		discard = min(discard, discardLateTime)
	}
	if !b.ended {
		_ = b.connection.SetReadDeadline(time.Now().Add(discard))
	}
	return b.ended
}

// drain reads the rest of a body that leave has bounded, before the server does, and reports
// whether that was all of it. If the server itself reads a body to its end after the handler, in full
// duplex, it begins to wait for the next request twice, and panics ("invalid concurrent Body.Read
// call"). A rest that is too long or too late ends in the deadline, and its connection is not used
// again. The length of the body is negative if it is not known; the server reads nothing of a rest
// that it knows to be too long.
func (b *slowBody) drain(length int64) bool {
	b.mu.Lock()
	tooLong := length-b.read > discardBytes
	b.mu.Unlock()
	if tooLong {
		return false
	}
	_, err := io.CopyN(io.Discard, b.ReadCloser, discardBytes)
	if err == nil {
		_ = b.connection.SetReadDeadline(time.Unix(1, 0))
		_, err = io.Copy(io.Discard, b.ReadCloser)
	}
	return err == nil || err == io.EOF // an io.Reader returns it as it is
}

// Authenticator records for each connection that a request on it was authenticated.
func (c *Connections) Authenticator(inner authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(r)
		if ok && err == nil && response != nil && response.User != nil && response.User.GetName() != user.Anonymous {
			c.Authenticated(r.RemoteAddr, response.User.GetName())
		}
		return response, ok, err
	})
}
