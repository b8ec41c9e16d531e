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

package watches

import (
	"context"
	"errors"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// End is a cause of the context of a watch (context.Cause) with the reason for which the watch ends.
type End struct {
	// Reason is the reason in the record.
	Reason diagnostics.WatchEndReason
	// Text is that of the error.
	Text string
}

// Error implements error.
func (e *End) Error() string { return e.Text }

// reason is an index of reasons; 0 for a watch that is open.
type reason int

const (
	stillOpen reason = iota
	clientClosed
	clientBlocked
	timeout
	tooSlow
	terminated
	sentErrorEvent
	serverShutdown
	expired
	identityRevoked
	accessRevoked
	reasonCount
)

// reasons are the names of reasons.
var reasons = [reasonCount]diagnostics.WatchEndReason{
	clientClosed: diagnostics.WatchEndClientClosed, clientBlocked: diagnostics.WatchEndClientBlocked, timeout: diagnostics.WatchEndTimeout,
	tooSlow: diagnostics.WatchEndTooSlow, terminated: diagnostics.WatchEndTerminated, sentErrorEvent: diagnostics.WatchEndError,
	serverShutdown: diagnostics.WatchEndServerShutdown, expired: diagnostics.WatchEndExpired,
	identityRevoked: diagnostics.WatchEndIdentityRevoked, accessRevoked: diagnostics.WatchEndAccessRevoked,
}

// usual reports whether watches end for this reason when nothing is wrong.
func (r reason) usual() bool { return r == clientClosed || r == timeout || r == expired }

// failure is what the writer of a watch has noticed.
type failure int

const (
	_ failure = iota
	// failedWrite is a write with an error.
	failedWrite
	// sentError is an event of type ERROR.
	sentError
)

// storageEnd is how the source of the events ended the watch.
type storageEnd int

const (
	storageEndNot storageEnd = iota
	storageTimedOut
	storageTerminated
)

// Began records that the source of events has begun the watch of a request. The goroutine that serves the
// watch calls this function, TimedOut and Terminated.
func Began(ctx context.Context) {
	// The response to a watch over a WebSocket does not pass the writer.
	if s, ok := ctx.Value(sessionKey{}).(*session); ok && s.webSocket {
		s.registry.begin(s)
	}
}

// TimedOut records that the time of the watch of a request is over.
func TimedOut(ctx context.Context) { setStorageEnd(ctx, storageTimedOut) }

// Terminated records that the source of events has ended the watch of a request.
func Terminated(ctx context.Context) { setStorageEnd(ctx, storageTerminated) }

func setStorageEnd(ctx context.Context, end storageEnd) {
	if s, ok := ctx.Value(sessionKey{}).(*session); ok {
		s.fromStorage = end
	}
}

const (
	// fullBuffer is the number of events in the smallest buffer of a watch of the watch cache, which ends a
	// watch only while its buffer is full. The server then writes all of them without a flush in between.
	fullBuffer = 10
	// soon is the time within which the end of a watch follows a write that is its cause.
	soon = time.Second
)

// reason returns why a watch ends whose context has the cause.
func (s *session) reason(ctx context.Context) reason {
	if end := (*End)(nil); errors.As(context.Cause(ctx), &end) {
		for r, name := range reasons {
			if name == end.Reason {
				return reason(r)
			}
		}
	}
	closed := ctx.Err() != nil || s.failed == failedWrite
	followsWrite := s.registry.sinceEpoch()-time.Duration(s.written.Load()) < soon
	switch {
	case closed && followsWrite && s.lastTook >= BlockedAfter:
		return clientBlocked
	case shutsDown(ctx):
		return serverShutdown
	case s.fromStorage == storageTimedOut:
		return timeout
	case s.failed == sentError:
		return sentErrorEvent
	case s.fromStorage == storageTerminated:
		if max(s.run, s.lastRun) >= fullBuffer && followsWrite {
			return tooSlow
		}
		return terminated
	case closed:
		return clientClosed
	}
	return timeout
}

// shutsDown reports whether the server ends its watches.
func shutsDown(ctx context.Context) bool {
	signals := request.ServerShutdownSignalFrom(ctx)
	if signals == nil {
		return false
	}
	select {
	case <-signals.ShuttingDown():
		return true
	default:
		return false
	}
}
