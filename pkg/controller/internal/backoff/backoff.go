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

// Package backoff delays repeated failing attempts, per key. Unlike the rate limiter of a work queue
// it reports the remaining delay of a key, and an attempt caused by an event does not count. Read
// Backoff.
package backoff

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Backoff delays keys after failures: for first, then twice as long after each further failure, up to
// last. A key that has not failed for twice last starts again at first, as the kubelet's backoff of
// containers does. It is safe for concurrent use.
type Backoff[K comparable] struct {
	first, last time.Duration
	clock       clock.PassiveClock

	lock    sync.Mutex
	entries map[K]entry
	swept   time.Time
}

// entry is the state of one key.
type entry struct {
	delay  time.Duration
	failed time.Time
}

// New returns a Backoff that waits from first to last.
func New[K comparable](first, last time.Duration, clock clock.PassiveClock) *Backoff[K] {
	return &Backoff[K]{first: first, last: last, clock: clock, entries: map[K]entry{}}
}

// Failed records a failure of the key and returns its delay. Failures during the delay belong to the
// same attempt and do not extend it.
func (b *Backoff[K]) Failed(key K) time.Duration {
	b.lock.Lock()
	defer b.lock.Unlock()
	now := b.clock.Now()
	b.sweep(now)
	e, known := b.entries[key]
	switch {
	case !known || b.expired(e, now):
		e = entry{delay: b.first, failed: now}
	case now.Sub(e.failed) >= e.delay:
		e = entry{delay: min(2*e.delay, b.last), failed: now}
	}
	b.entries[key] = e
	return e.delay - now.Sub(e.failed)
}

// Left returns the remaining delay of the key; zero if it may be tried. known reports whether the key
// has failed before and has not been forgotten since.
func (b *Backoff[K]) Left(key K) (left time.Duration, known bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	e, known := b.entries[key]
	now := b.clock.Now()
	if !known || b.expired(e, now) {
		return 0, false
	}
	return max(e.delay-now.Sub(e.failed), 0), true
}

// Forget drops the state of the key: the attempt succeeded, or the key is gone.
func (b *Backoff[K]) Forget(key K) {
	b.lock.Lock()
	defer b.lock.Unlock()
	delete(b.entries, key)
}

func (b *Backoff[K]) expired(e entry, now time.Time) bool { return now.Sub(e.failed) > 2*b.last }

// sweep removes expired entries once per last, so that unused keys do not accumulate.
func (b *Backoff[K]) sweep(now time.Time) {
	if now.Sub(b.swept) < b.last {
		return
	}
	b.swept = now
	for key, e := range b.entries {
		if b.expired(e, now) {
			delete(b.entries, key)
		}
	}
}
