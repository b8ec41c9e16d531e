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
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// tick is the interval at which the open watches are compared with what their followers know, and
	// modifiedAfter the shortest time between two events about one watch. A watch that is blocked, or no
	// longer, is reported at the next tick.
	tick          = 250 * time.Millisecond
	modifiedAfter = time.Second
)

// changes number the changes of a registry, whose lock guards them.
type changes struct {
	// first is the version before the first change, last that of the latest, and lost that of the newest
	// removal that is forgotten.
	first, last, lost uint64
	removed           []removal
	followers         int
	// changed is closed and replaced on a change while there are followers, and unfollowed is closed when
	// the last of them leaves.
	changed, unfollowed chan struct{}
}

// removal is a watch that is not kept any more.
type removal struct {
	session *session
	version uint64
}

func (c *changes) start(version uint64) {
	c.first, c.last, c.changed = version, version, make(chan struct{})
}

// next returns the version of a change.
func (c *changes) next() uint64 {
	c.last++
	return c.last
}

// remove records that a watch is not kept any more.
func (c *changes) remove(s *session) {
	c.removed = append(c.removed, removal{s, c.next()})
	if len(c.removed) > keptRemoved {
		c.lost = c.removed[0].version
		c.removed[0] = removal{}
		c.removed = c.removed[1:]
	}
}

// announce wakes the followers.
func (c *changes) announce() {
	if c.followers > 0 {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// sample numbers the changes of open watches since the last one, and reports whether there were any.
func (r *Registry) sample() bool {
	now, changed := r.sinceEpoch(), false
	for s := range r.open {
		current := s.state(now)
		switch {
		case current.blocked != s.seen.blocked:
		case current == s.seen, s.quiet(), now-s.marked < modifiedAfter:
			continue
		}
		s.seen, s.marked, s.version = current, now, r.changes.next()
		changed = true
	}
	return changed
}

// Follow makes the channels of Since work until the returned function is called. While there are followers, one
// goroutine samples the open watches.
func (r *Registry) Follow() (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes.followers++
	if r.changes.followers == 1 {
		r.changes.unfollowed = make(chan struct{})
		go r.sampleUntil(r.changes.unfollowed, r.clock.NewTicker(tick))
	}
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.changes.followers--; r.changes.followers == 0 {
			close(r.changes.unfollowed)
		}
	})
}

func (r *Registry) sampleUntil(done <-chan struct{}, ticker clock.Ticker) {
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C():
		}
		r.mu.Lock()
		if r.sample() {
			r.changes.announce()
		}
		r.mu.Unlock()
	}
}

// changeKind is what happened to a watch.
type changeKind int

const (
	began changeKind = iota
	modified
	removed
)

// change is a change of a watch, at most one for each watch since a version.
type change struct {
	session *session
	kind    changeKind
	version uint64
}

// since returns the changes after a version, in order, the version of the last one, and a channel that is
// closed on the next one. ok is false if some changes are no longer known, or if the version is not of
// this registry.
func (r *Registry) since(version uint64) (all []change, last uint64, next <-chan struct{}, ok bool) {
	c := &r.changes
	if version > c.last || version < c.first || version < c.lost {
		return nil, 0, nil, false
	}
	r.sessions(func(s *session) {
		switch {
		case s.added > version:
			all = append(all, change{s, began, s.version})
		case s.version > version:
			all = append(all, change{s, modified, s.version})
		}
	})
	for _, gone := range c.removed {
		if gone.version > version && gone.session.added <= version {
			all = append(all, change{gone.session, removed, gone.version})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	return all, c.last, c.changed, true
}
