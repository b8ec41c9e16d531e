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

package release

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
)

// ExpectationsTimeout is the time after which expectations are dropped, as upstream. It is far above
// any watch latency: an event that has not been observed by then was missed, and a release that
// waited on would be blocked forever.
const ExpectationsTimeout = 5 * time.Minute

// Expectations are the created and deleted instances of releases that the informer does not show
// yet. A release with any must not count its instances.
//
// Keys are UIDs: names of releases and of instances may be reused. A deletion is observed twice, as
// a timestamp and as a delete event, and must be counted once.
type Expectations struct {
	clock clock.PassiveClock

	lock   sync.Mutex
	owners map[types.UID]*expected
}

// expected is what one owner expects.
type expected struct {
	since     time.Time
	creations sets.Set[types.UID]
	deletions sets.Set[types.UID]
	// creating is set while requests are pending. A watch may show an instance before its create
	// request returns; seen keeps those until it does.
	creating bool
	seen     sets.Set[types.UID]
}

// NewExpectations returns an empty set of expectations that are dropped after ExpectationsTimeout.
func NewExpectations(clock clock.PassiveClock) *Expectations {
	return &Expectations{clock: clock, owners: map[types.UID]*expected{}}
}

// Creating begins a round of creations, and drops earlier expectations. Created is called for each
// instance, and CreationsSent ends the round.
func (e *Expectations) Creating(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.owners[owner] = &expected{since: e.clock.Now(), creations: sets.New[types.UID](), creating: true, seen: sets.New[types.UID]()}
}

// Created expects the informer to show a created instance.
func (e *Expectations) Created(owner, instance types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil && !x.seen.Has(instance) {
		x.creations.Insert(instance)
	}
}

// CreationsSent ends a round: every request has been answered.
func (e *Expectations) CreationsSent(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil {
		x.creating, x.seen, x.since = false, nil, e.clock.Now()
	}
}

// Deleting expects the informer to show these instances deleted, and drops earlier expectations.
func (e *Expectations) Deleting(owner types.UID, instances []types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.owners[owner] = &expected{since: e.clock.Now(), deletions: sets.New(instances...)}
}

// Seen is called for each instance that the informer shows.
func (e *Expectations) Seen(owner, instance types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	x := e.owners[owner]
	if x == nil {
		return
	}
	x.creations.Delete(instance)
	if x.creating {
		x.seen.Insert(instance)
	}
}

// Gone is called for each instance that is being deleted, is gone, has another owner, or could not
// be deleted. It does not count as expected any more, either.
func (e *Expectations) Gone(owner, instance types.UID) {
	e.Seen(owner, instance)
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil {
		x.deletions.Delete(instance)
	}
}

// CaughtUp is called when the informer has reached the resource version of the last creation: an
// instance that it does not show is gone, and no event will follow.
func (e *Expectations) CaughtUp(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil && !x.creating {
		x.creations = nil
	}
}

// Satisfied reports whether all expectations of an owner are fulfilled, or have timed out.
func (e *Expectations) Satisfied(owner types.UID) bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	x := e.owners[owner]
	if x == nil {
		return true
	}
	fulfilled := !x.creating && x.creations.Len() == 0 && x.deletions.Len() == 0
	if fulfilled || e.clock.Since(x.since) > ExpectationsTimeout {
		delete(e.owners, owner)
		return true
	}
	return false
}

// Left returns the time until the expectations of an owner time out; zero if it has none.
func (e *Expectations) Left(owner types.UID) time.Duration {
	e.lock.Lock()
	defer e.lock.Unlock()
	x := e.owners[owner]
	if x == nil {
		return 0
	}
	// They time out after the timeout, and not at it.
	return max(ExpectationsTimeout-e.clock.Since(x.since), 0) + time.Second
}

// Forget drops the expectations of an owner that is gone.
func (e *Expectations) Forget(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	delete(e.owners, owner)
}
