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

package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

// race has attempts to open a stream, of which the first that succeeds counts.
type race struct {
	results chan result
	// ended is closed when nobody waits any more.
	ended   chan struct{}
	pending int
	// held is the error of a server that holds the tunnel, and failed has a sentence for each one that did not answer.
	held   error
	failed []string
}

func newRace() *race { return &race{results: make(chan result), ended: make(chan struct{})} }

// result is the end of an attempt.
type result struct {
	// from is zero for this server.
	from Replica
	conn net.Conn
	err  error
}

// start begins an attempt. Its stream ends with the context, and at once if another one counts.
func (r *race) start(ctx context.Context, from Replica, dial func(context.Context) (net.Conn, error)) {
	r.pending++
	ctx, cancel := context.WithCancel(ctx)
	dialed := make(chan struct{})
	go func() {
		<-r.ended
		select {
		case <-dialed: // before the result was sent, and so before the end of the race that it may have won
		default:
			cancel()
		}
	}()
	go func() {
		conn, err := dial(ctx)
		close(dialed)
		select {
		case r.results <- result{from, conn, err}:
		case <-r.ended:
			cancel()
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
}

// wait returns the first stream. It returns nil when all attempts have ended, the time is over or the context has ended.
func (r *race) wait(ctx context.Context, over <-chan time.Time) *result {
	for r.pending > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return nil
		case got := <-r.results:
			r.pending--
			var held *holderError
			switch {
			case got.err == nil:
				return &got
			case errors.Is(got.err, tunnel.ErrNotConnected):
			case got.from.ID == "", errors.As(got.err, &held):
				r.held = got.err
			default:
				r.failed = append(r.failed, fmt.Sprintf("the server at %s does not respond: %v", got.from.Address, got.err))
			}
		}
	}
	return nil
}

// err returns the error of a race without a winner.
func (r *race) err() error {
	switch {
	case r.held != nil:
		return r.held
	case len(r.failed) > 0:
		return fmt.Errorf("no server that responds has its tunnel, and %s", strings.Join(r.failed, "; "))
	}
	return tunnel.ErrNotConnected
}

// holderError is the answer of a server that holds the tunnel and cannot open a stream.
type holderError struct{ text string }

// Error implements error.
func (e *holderError) Error() string { return e.text }
