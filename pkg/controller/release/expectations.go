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

// ExpectationsTimeout is how long a release waits to see what it did, as long as upstream. Far
// more than a watch is ever late: what has not been seen by then was missed, and a release
// that waited on would never do anything again.
const ExpectationsTimeout = 5 * time.Minute

// Expectations are the instances that releases made or deleted and have not yet seen to be
// made or deleted. Who has some must not count its instances.
//
// All is kept by uid: a name may come again, for a release as for an instance. A deletion
// shows twice, as a timestamp and then as a disappearance, and must be counted once.
type Expectations struct {
	clock clock.PassiveClock

	lock   sync.Mutex
	owners map[types.UID]*expected
}

// expected is what one owner waits for.
type expected struct {
	since     time.Time
	creations sets.Set[types.UID]
	deletions sets.Set[types.UID]
	// creating is set while requests are on their way. A watch may show an instance before
	// the request that made it returns; seen keeps those until it does.
	creating bool
	seen     sets.Set[types.UID]
}

// NewExpectations makes a set of expectations that are given up after ExpectationsTimeout.
func NewExpectations(clock clock.PassiveClock) *Expectations {
	return &Expectations{clock: clock, owners: map[types.UID]*expected{}}
}

// Creating begins a round of creations, and forgets what was expected before. Created tells
// of each, and CreationsSent ends the round.
func (e *Expectations) Creating(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.owners[owner] = &expected{since: e.clock.Now(), creations: sets.New[types.UID](), creating: true, seen: sets.New[types.UID]()}
}

// Created expects to see an instance that was made.
func (e *Expectations) Created(owner, instance types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil && !x.seen.Has(instance) {
		x.creations.Insert(instance)
	}
}

// CreationsSent ends a round: every request has been answered, one way or the other.
func (e *Expectations) CreationsSent(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil {
		x.creating, x.seen, x.since = false, nil, e.clock.Now()
	}
}

// Deleting expects to see these instances go, and forgets what was expected before.
func (e *Expectations) Deleting(owner types.UID, instances []types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.owners[owner] = &expected{since: e.clock.Now(), deletions: sets.New(instances...)}
}

// Seen is called for each instance that shows up.
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

// Gone is called for each instance that is being deleted, is no more, belongs to the owner no
// longer, or could not be deleted. It will not show up as new, either.
func (e *Expectations) Gone(owner, instance types.UID) {
	e.Seen(owner, instance)
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil {
		x.deletions.Delete(instance)
	}
}

// CaughtUp is called when the informer is known to have reached the last creation: what it
// does not show has been there and is gone, and no watch will tell of it any more.
func (e *Expectations) CaughtUp(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if x := e.owners[owner]; x != nil && !x.creating {
		x.creations = nil
	}
}

// Satisfied says whether an owner has seen all that it did, or has waited for too long.
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

// Left returns how long an owner waits at most until Satisfied gives up; zero where it expects
// nothing.
func (e *Expectations) Left(owner types.UID) time.Duration {
	e.lock.Lock()
	defer e.lock.Unlock()
	x := e.owners[owner]
	if x == nil {
		return 0
	}
	// Satisfied gives up after the timeout, not at it.
	return max(ExpectationsTimeout-e.clock.Since(x.since), 0) + time.Second
}

// Forget drops what an owner expects that is gone.
func (e *Expectations) Forget(owner types.UID) {
	e.lock.Lock()
	defer e.lock.Unlock()
	delete(e.owners, owner)
}
