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

package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// seen holds what clients observed during the fault, and when writes and reads failed.
type seen struct {
	mu sync.Mutex
	// counting is set when the fault begins.
	counting      bool
	writes, reads tally
}

type tally struct {
	outcomes map[string]int
	// firstFailure and lastFailure bound the time in which requests failed; lastOK is the last
	// success.
	firstFailure, lastFailure, lastOK time.Time
	// slowest is the longest response time.
	slowest time.Duration
}

func newSeen() *seen {
	return &seen{writes: tally{outcomes: map[string]int{}}, reads: tally{outcomes: map[string]int{}}}
}

// count begins to count.
func (s *seen) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counting = true
}

func (s *seen) add(method string, began time.Time, code int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.writes
	if method == http.MethodGet {
		t = &s.reads
	}
	now := time.Now()
	failed := err != nil || code == http.StatusTooManyRequests || code >= 500
	if !failed {
		t.lastOK = now
	}
	if !s.counting {
		return
	}
	if failed && t.firstFailure.IsZero() {
		t.firstFailure = now
	}
	if failed {
		t.lastFailure = now
	}
	t.outcomes[outcome(code, err)]++
	if err == nil {
		t.slowest = max(t.slowest, now.Sub(began))
	}
}

// ok reports whether the last write succeeded.
func (s *seen) ok() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes.lastOK.After(s.writes.lastFailure)
}

// had reports whether a write had an outcome.
func (s *seen) had(outcome string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes.outcomes[outcome] > 0
}

// writesSince reports whether a write was acknowledged after a time.
func (s *seen) writesSince(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes.lastOK.After(t)
}

// failing returns how long requests failed.
func (t tally) failing() string {
	if t.firstFailure.IsZero() {
		return "never"
	}
	return t.lastFailure.Sub(t.firstFailure).Round(100 * time.Millisecond).String()
}

// counts lists the number of each outcome.
func counts(outcomes map[string]int) string {
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		parts = append(parts, fmt.Sprintf("%s × %d", outcome, outcomes[outcome]))
	}
	return strings.Join(parts, ", ")
}

func (t tally) String() string {
	return fmt.Sprintf("%s; slowest answer %v", counts(t.outcomes), t.slowest.Round(10*time.Millisecond))
}

func (s *seen) result() (writes, reads tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes, s.reads
}
