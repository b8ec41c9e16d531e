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
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func orphan(name string, changes ...change) *v1alpha1.Instance {
	return made(name, append([]change{labelled("web"), func(i *v1alpha1.Instance) {
		i.ResourceVersion, i.CreationTimestamp = "1", metav1.NewTime(noon)
	}}, changes...)...)
}

func withVersion(version string) change {
	return func(i *v1alpha1.Instance) { i.ResourceVersion = version }
}

// If adoptions of a release are changed at admission, it counts the orphans that it selects. No owner
// reference leads from their events to the release.
func TestAReleaseThatCountsOrphansSeesWhatHappensToThem(t *testing.T) {
	const atOnce, soon, never = "at once", "soon", "never"
	for _, tc := range []struct {
		name        string
		after       *v1alpha1.Instance // nil if it is gone
		counts, not string
	}{
		{"it becomes ready", orphan("a", withVersion("2"), readyFor(0)), soon, never},
		{"it ends", orphan("a", withVersion("2"), in(v1alpha1.InstanceFailed)), soon, never},
		{"it begins to go", orphan("a", withVersion("2"), deleted), atOnce, never},
		{"it is gone", nil, atOnce, never},
	} {
		for _, counts := range []bool{true, false} {
			want := map[bool]string{true: tc.counts, false: tc.not}[counts]
			t.Run(tc.name+", looks again "+want, func(t *testing.T) {
				w := newWorld(t, web(100))
				if counts {
					w.rewrites.Failed(attempt{"web-uid", adopting})
				}
				later := &laterQueue{TypedRateLimitingInterface: w.queue}
				w.queue = later
				if tc.after == nil {
					w.instanceHandler().OnDelete(orphan("a"))
				} else {
					w.instanceHandler().OnUpdate(orphan("a"), tc.after)
				}
				got := never
				switch {
				case w.queue.Len() > 0:
					got = atOnce
				case slices.Equal(later.pauses, []time.Duration{500 * time.Millisecond}):
					got = soon
				}
				if got != want {
					t.Errorf("looks again %s, want %s", got, want)
				}
			})
		}
	}
}

func TestAReleaseWaitsForOrphansNoLongerThanForItsOwn(t *testing.T) {
	t.Run("one that it made without an owner is seen", func(t *testing.T) {
		w := newWorld(t, web(1))
		w.expectations.Creating("web-uid")
		w.expectations.Created("web-uid", "a")
		w.expectations.CreationsSent("web-uid")
		w.instanceHandler().OnAdd(orphan("a"), false)
		if !w.expectations.Satisfied("web-uid") {
			t.Error("it is still expected although the watch has shown it")
		}
	})
	t.Run("one that it deletes is seen to go", func(t *testing.T) {
		w := newWorld(t, web(1))
		w.expectations.Deleting("web-uid", []types.UID{"a"})
		w.instanceHandler().OnDelete(orphan("a"))
		if !w.expectations.Satisfied("web-uid") {
			t.Error("it is still expected although it is gone")
		}
	})
	t.Run("one that it adopts while it deletes it is waited for", func(t *testing.T) {
		w := newWorld(t, web(1))
		w.expectations.Deleting("web-uid", []types.UID{"a"})
		w.instanceHandler().OnUpdate(orphan("a"), orphan("a", withVersion("2"), owned))
		if w.expectations.Satisfied("web-uid") {
			t.Error("its deletion is fulfilled although it has not been deleted")
		}
	})
	t.Run("a missing event requeues the release when it times out", func(t *testing.T) {
		w := newWorld(t, web(1))
		later := &laterQueue{TypedRateLimitingInterface: w.queue}
		w.queue = later
		w.expectations.Deleting("web-uid", []types.UID{"a"})
		w.clock.SetTime(noon.Add(time.Minute))
		if _, err := w.does(); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{ExpectationsTimeout - time.Minute + time.Second}; !slices.Equal(later.pauses, want) {
			t.Fatalf("looks again after %v, want %v", later.pauses, want)
		}
		w.clock.SetTime(w.clock.Now().Add(later.pauses[0]))
		if !w.expectations.Satisfied("web-uid") {
			t.Error("it is still expected")
		}
	})
}

func TestAnOrphanThatEndsAtOnceIsALoss(t *testing.T) {
	w := newWorld(t, web(2))
	for _, name := range []string{"a", "b"} {
		w.instanceHandler().OnUpdate(orphan(name), orphan(name, withVersion("2"), in(v1alpha1.InstanceFailed)))
	}
	// The first one is replaced at once.
	if held, left := w.losses.held("web-uid"); held != 1 || left != firstReplacement {
		t.Errorf("%d are held back for %s, want 1 for %s", held, left, firstReplacement)
	}
	w = newWorld(t, web(2))
	for _, name := range []string{"a", "b"} {
		w.instanceHandler().OnAdd(orphan(name, in(v1alpha1.InstanceFailed)), true)
	}
	if held, _ := w.losses.held("web-uid"); held != 0 {
		t.Errorf("%d that were never counted are held back", held)
	}
}
