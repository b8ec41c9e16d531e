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
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestAReleaseWaitsToSeeWhatItDid(t *testing.T) {
	const owner = types.UID("owner")
	for _, tc := range []struct {
		name      string
		did       func(*Expectations, *clocktesting.FakePassiveClock)
		satisfied bool
	}{
		{"one that did nothing waits for nothing", func(*Expectations, *clocktesting.FakePassiveClock) {}, true},
		{"while requests are on their way it waits", func(e *Expectations, _ *clocktesting.FakePassiveClock) { e.Creating(owner) }, false},
		{"when all requests failed it does not", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.CreationsSent(owner)
		}, true},
		{"an instance that was made is waited for", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			e.CreationsSent(owner)
		}, false},
		{"until it is seen", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			e.CreationsSent(owner)
			e.Seen(owner, "a")
		}, true},
		{"the watch may be faster than the answer", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Seen(owner, "a")
			e.Created(owner, "a")
			e.CreationsSent(owner)
		}, true},
		{"another instance is not the one that was made", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			e.CreationsSent(owner)
			e.Seen(owner, "b")
		}, false},
		{"two sightings of one are not two", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			e.Created(owner, "b")
			e.CreationsSent(owner)
			e.Seen(owner, "a")
			e.Seen(owner, "a")
		}, false},
		{"one that is gone before it was seen is not waited for", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			e.CreationsSent(owner)
			e.Gone(owner, "a")
		}, true},
		{"nor is it when the answer comes last", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Gone(owner, "a")
			e.Created(owner, "a")
			e.CreationsSent(owner)
		}, true},
		{"an informer that has caught up shows all that there is", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			e.CreationsSent(owner)
			e.CaughtUp(owner)
		}, true},
		{"it does not end a round", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.CaughtUp(owner)
		}, false},
		{"deletions are waited for", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a", "b"})
			e.Gone(owner, "a")
		}, false},
		{"an informer that has caught up does not fulfil deletions", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			e.CaughtUp(owner)
		}, false},
		{"a deletion that shows twice is one", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a", "b"})
			e.Gone(owner, "a")
			e.Gone(owner, "a")
		}, false},
		{"until all are gone", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a", "b"})
			e.Gone(owner, "b")
			e.Gone(owner, "a")
		}, true},
		{"seeing one does not make it gone", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			e.Seen(owner, "a")
		}, false},
		{"others' instances do not matter", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			e.Deleting("other", []types.UID{"a"})
			e.Gone("other", "a")
		}, false},
		{"a new round forgets the one before", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			e.Creating(owner)
			e.CreationsSent(owner)
		}, true},
		{"one that is gone waits for nothing", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			e.Forget(owner)
		}, true},
		{"an answer after that begins nothing", func(e *Expectations, _ *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Forget(owner)
			e.Created(owner, "a")
			e.CreationsSent(owner)
		}, true},
		{"it waits for the returned time", func(e *Expectations, c *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			c.SetTime(c.Now().Add(ExpectationsTimeout))
		}, false},
		{"and no longer", func(e *Expectations, c *clocktesting.FakePassiveClock) {
			e.Deleting(owner, []types.UID{"a"})
			c.SetTime(c.Now().Add(ExpectationsTimeout + 1))
		}, true},
		{"the time of a round counts from its end", func(e *Expectations, c *clocktesting.FakePassiveClock) {
			e.Creating(owner)
			e.Created(owner, "a")
			c.SetTime(c.Now().Add(ExpectationsTimeout))
			e.CreationsSent(owner)
			c.SetTime(c.Now().Add(time.Second))
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			e := NewExpectations(clock)
			tc.did(e, clock)
			if got := e.Satisfied(owner); got != tc.satisfied {
				t.Fatalf("satisfied: %t", got)
			}
			if e.owners[owner] != nil == tc.satisfied {
				t.Errorf("what is fulfilled is remembered, or what is not is forgotten: %v", e.owners[owner])
			}
		})
	}
}
