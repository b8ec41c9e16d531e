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
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// firstBackOff and lastBackOff bound the time from a failure of a server to the next attempt at it; it doubles
	// with each failure. A random part of up to half of it is left out, so that clients do not come back together.
	firstBackOff = 250 * time.Millisecond
	lastBackOff  = 15 * time.Second
)

// Balancer knows which of several servers can be used. All requests go to one of them until it fails: then the
// next one in the list takes its place, and keeps it. A failed server is tried again, after a growing time, only
// when no other one can be used; one request at a time tries it.
type Balancer struct {
	clock clock.WithDelayedExecution
	// jitter returns a random number from 0 to 1.
	jitter func() float64

	mu      sync.Mutex
	servers []*server
	current int
	// changed is closed and replaced when a server can be used again, or a trial of one ends.
	changed chan struct{}
}

// server is what is known about one server; the balancer's lock guards it.
type server struct {
	url *url.URL
	// cause is the last failure; nil while the server can be used.
	cause    error
	failures int
	retryAt  time.Time
	// trial is set while a request tries the failed server, and probing while its health is being asked.
	trial, probing bool
	exchanges      map[*exchange]struct{}
}

// New returns a balancer that begins at a random server, so that many clients are spread over all of them.
func New(servers Servers) *Balancer {
	b := newBalancer(servers, clock.RealClock{})
	b.current = rand.IntN(len(b.servers)) // not security-relevant, so a weak random number is enough
	return b
}

func newBalancer(servers Servers, clock clock.WithDelayedExecution) *Balancer {
	b := &Balancer{clock: clock, jitter: rand.Float64, changed: make(chan struct{})}
	for _, u := range servers {
		b.servers = append(b.servers, &server{url: u, exchanges: map[*exchange]struct{}{}})
	}
	return b
}

// pick returns the server to use, but none of those that the request has tried; nil if there is no other. If
// nothing has been tried yet, it waits for the next attempt at a failed server.
func (b *Balancer) pick(ctx context.Context, tried []*server) (*server, error) {
	for {
		s, next, changed := b.choose(tried)
		if s != nil || len(tried) > 0 {
			return s, nil
		}
		if err := b.wait(ctx, next, changed); err != nil {
			if known := b.Err(); known != nil {
				err = fmt.Errorf("%w: %w", known, err)
			}
			return nil, err
		}
	}
}

// wait returns when a time has come, or something has changed. A zero time never comes.
func (b *Balancer) wait(ctx context.Context, next time.Time, changed <-chan struct{}) error {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := b.clock.NewTimer(next.Sub(b.clock.Now()))
		defer timer.Stop()
		due = timer.C()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-due:
	case <-changed:
	}
	return nil
}

// choose returns the server to use; if there is none, the time of the next attempt at a failed one, and a channel
// that is closed when something changes before.
func (b *Balancer) choose(tried []*server) (s *server, next time.Time, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	var failed *server
	for i := range b.servers {
		n := (b.current + i) % len(b.servers)
		s := b.servers[n]
		switch {
		case slices.Contains(tried, s):
		case s.cause == nil:
			b.use(n)
			return s, time.Time{}, nil
		case !s.trial && (failed == nil || s.retryAt.Before(failed.retryAt)):
			failed = s
		}
	}
	if failed == nil {
		return nil, time.Time{}, b.changed
	}
	if failed.retryAt.After(now) {
		return nil, failed.retryAt, b.changed
	}
	failed.trial = true
	return failed, time.Time{}, nil
}

// use is called with the lock held.
func (b *Balancer) use(n int) {
	if n != b.current {
		klog.Background().Info("Using another server", "server", b.servers[n].url.Host, "before", b.servers[b.current].url.Host)
		b.current = n
	}
}

// works records that a server responds. A failed server can be used again only after a trial: a response may have
// been on its way when it failed.
func (b *Balancer) works(s *server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !s.trial {
		return
	}
	klog.Background().Info("Server can be used again", "server", s.url.Host)
	s.cause, s.failures, s.trial = nil, 0, false
	b.announce()
}

// fails records that a server cannot be used.
func (b *Balancer) fails(s *server, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.cause == nil {
		klog.Background().Info("Server cannot be used", "server", s.url.Host, "cause", cause.Error())
	} else if !s.trial {
		return // one failure, seen by several requests
	}
	wait := lastBackOff
	if s.failures < 8 {
		wait = min(lastBackOff, firstBackOff<<s.failures)
	}
	s.failures++
	s.cause, s.trial = cause, false
	s.retryAt = b.clock.Now().Add(wait - time.Duration(b.jitter()*float64(wait)/2))
	b.announce()
}

// abandons ends a trial without a result.
func (b *Balancer) abandons(s *server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.trial {
		s.trial = false
		b.announce()
	}
}

// announce is called with the lock held.
func (b *Balancer) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Err returns an error with the state of each server that cannot be used; nil if all can be.
func (b *Balancer) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, s := range b.servers {
		if s.cause != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.url.Host, s.cause))
		}
	}
	return failure(errs)
}

// failure joins the errors of the servers in one line; nil for none.
func failure(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &unreachable{errs}
}

// unreachable is the error of a request that no server has received.
type unreachable struct{ errs []error }

// Error implements error.
func (u *unreachable) Error() string {
	texts := make([]string, 0, len(u.errs))
	for _, err := range u.errs {
		texts = append(texts, err.Error())
	}
	return "none of the servers can be used: " + strings.Join(texts, "; ")
}

// Unwrap returns the errors of the servers for errors.Is and errors.As.
func (u *unreachable) Unwrap() []error { return u.errs }

// errLost is the cause of the end of exchanges with a server that no longer responds.
var errLost = errors.New("the server no longer responds")
