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
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	upstream "k8s.io/kubernetes/pkg/controller"
	"k8s.io/utils/clock"

	ours "github.com/gatehouse-dev/gatehouse/pkg/controller/release"
)

// both are upstream's expectations and ours, with the same input.
type both struct {
	theirs *upstream.UIDTrackingControllerExpectations
	mine   *ours.Expectations
	log    logr.Logger
}

func newBoth() both {
	return both{
		theirs: upstream.NewUIDTrackingControllerExpectations(upstream.NewControllerExpectations()),
		mine:   ours.NewExpectations(clock.RealClock{}),
		log:    logr.Discard(),
	}
}

// create records the creation of instances, some of which fail.
func (b both) create(owner string, succeed []string, fail int) {
	_ = b.theirs.ExpectCreations(b.log, owner, len(succeed)+fail)
	b.mine.Creating(types.UID(owner))
	for _, uid := range succeed {
		b.mine.Created(types.UID(owner), types.UID(uid))
	}
	b.mine.CreationsSent(types.UID(owner))
	for range fail {
		b.theirs.CreationObserved(b.log, owner)
	}
}

func (b both) seen(owner, uid string) {
	b.theirs.CreationObserved(b.log, owner)
	b.mine.Seen(types.UID(owner), types.UID(uid))
}

func (b both) remove(owner string, uids []string) {
	_ = b.theirs.ExpectDeletions(b.log, owner, uids)
	var list []types.UID
	for _, uid := range uids {
		list = append(list, types.UID(uid))
	}
	b.mine.Deleting(types.UID(owner), list)
}

func (b both) gone(owner, uid string) {
	b.theirs.DeletionObserved(b.log, owner, uid)
	b.mine.Gone(types.UID(owner), types.UID(uid))
}

func (b both) forget(owner string) {
	b.theirs.DeleteExpectations(b.log, owner)
	b.mine.Forget(types.UID(owner))
}

func (b both) satisfied(t *testing.T, owner string, want bool) {
	t.Helper()
	if theirs, mine := b.theirs.SatisfiedExpectations(b.log, owner), b.mine.Satisfied(types.UID(owner)); theirs != want || mine != want {
		t.Errorf("satisfied: upstream %t, ours %t, want %t", theirs, mine, want)
	}
}

func uids(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint("uid-", i))
	}
	return list
}

func TestExpectationsAreMetAlike(t *testing.T) {
	for _, tc := range []struct {
		name string
		did  func(both)
		want bool
	}{
		{"nothing is expected", func(both) {}, true},
		{"ten creations, nine of which were seen", func(b both) {
			b.create("o", uids(10), 0)
			for _, uid := range uids(9) {
				b.seen("o", uid)
			}
		}, false},
		{"ten creations, all of which were seen", func(b both) {
			b.create("o", uids(10), 0)
			for _, uid := range uids(10) {
				b.seen("o", uid)
			}
		}, true},
		{"one more was seen than was made", func(b both) {
			b.create("o", uids(10), 0)
			for _, uid := range uids(11) {
				b.seen("o", uid)
			}
		}, true},
		{"all creations failed", func(b both) { b.create("o", nil, 5) }, true},
		{"some creations failed", func(b both) { b.create("o", uids(1), 5) }, false},
		{"five deletions, none of which was seen", func(b both) { b.remove("o", uids(5)) }, false},
		{"five deletions, four of which were seen", func(b both) {
			b.remove("o", uids(5))
			for _, uid := range uids(4) {
				b.gone("o", uid)
			}
		}, false},
		{"five deletions, one of which was seen five times", func(b both) {
			b.remove("o", uids(5))
			for range 5 {
				b.gone("o", "uid-0")
			}
		}, false},
		{"five deletions, all of which were seen", func(b both) {
			b.remove("o", uids(5))
			for _, uid := range uids(5) {
				b.gone("o", uid)
			}
		}, true},
		{"deletions by another client", func(b both) {
			b.remove("o", uids(1))
			b.remove("p", uids(1))
			b.gone("p", "uid-0")
		}, false},
		{"they are forgotten", func(b both) {
			b.remove("o", uids(5))
			b.forget("o")
		}, true},
		{"not yet too old", func(b both) {
			b.create("o", uids(5), 0)
			time.Sleep(upstream.ExpectationsTimeout)
		}, false},
		{"too old", func(b both) {
			b.create("o", uids(5), 0)
			time.Sleep(upstream.ExpectationsTimeout + 1)
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoth()
				tc.did(b)
				b.satisfied(t, "o", tc.want)
			})
		})
	}
}

// TestRandomExpectationsAreMetAlike runs random rounds like those of a controller: a round begins when
// the last is over, observes only what was created, and observes only deletions twice.
func TestRandomExpectationsAreMetAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newSource(t), newBoth()
		next, answers := 0, map[bool]int{}
		unseen, ungone, live := map[string][]string{}, map[string][]string{}, map[string][]string{}
		for n := range 20000 {
			owner := pick(s, "a", "b", "c")
			theirs, mine := b.theirs.SatisfiedExpectations(b.log, owner), b.mine.Satisfied(types.UID(owner))
			if theirs != mine {
				t.Fatalf("step %d: upstream %t, ours %t", n, theirs, mine)
			}
			answers[theirs]++
			switch s.IntN(6) {
			case 0:
				if !theirs {
					continue
				}
				var made []string
				for range s.IntN(4) {
					next++
					made = append(made, fmt.Sprint(next))
				}
				b.create(owner, made, s.IntN(2))
				unseen[owner], live[owner] = made, append(live[owner], made...)
			case 1:
				if !theirs || len(live[owner]) == 0 {
					continue
				}
				b.remove(owner, live[owner])
				unseen[owner], ungone[owner], live[owner] = nil, live[owner], nil
			case 2, 3:
				if list := unseen[owner]; len(list) > 0 {
					b.seen(owner, list[0])
					unseen[owner] = list[1:]
				}
			case 4:
				if list := ungone[owner]; len(list) > 0 {
					b.gone(owner, list[0])
					if s.IntN(3) > 0 {
						ungone[owner] = list[1:]
					}
				}
			case 5:
				time.Sleep(time.Duration(s.IntN(100)) * time.Second)
			}
		}
		t.Logf("satisfied %d times, not %d times", answers[true], answers[false])
		if min(answers[true], answers[false]) < 1000 {
			t.Error("the rounds were too similar to prove anything")
		}
	})
}
