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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestInstancesThatEndAtOnceAreReplacedLaterEachTime(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon)
	l := newLosses(clock)
	pass := func(d time.Duration) { clock.SetTime(clock.Now().Add(d)) }
	number := 0
	ends := func(count int, age time.Duration) {
		for range count {
			number++
			l.ended("web", &v1alpha1.Instance{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprint(number)), CreationTimestamp: metav1.NewTime(clock.Now().Add(-age))}}, func() bool { return true })
		}
	}
	expect := func(what string, count int, left time.Duration) {
		t.Helper()
		if held, after := l.held("web"); held != count || after != left {
			t.Errorf("%s: %d are held back for %s, want %d for %s", what, held, after, count, left)
		}
	}
	ends(5, 11*time.Minute)
	expect("instances that have run for long are replaced at once", 0, 0)
	ends(1, time.Second)
	expect("the first that ends at once is, too", 0, 0)
	ends(3, time.Second)
	expect("others wait, together", 3, 10*time.Second)
	pass(4 * time.Second)
	ends(1, time.Second)
	expect("one that ends meanwhile waits with them", 4, 6*time.Second)
	pass(6 * time.Second)
	expect("then they are replaced", 0, 0)
	for _, seconds := range []time.Duration{20, 40, 80, 160, 300, 300} {
		ends(4, time.Second)
		expect("each time later", 4, seconds*time.Second)
		pass(seconds * time.Second)
	}
	pass(11 * time.Minute)
	ends(1, time.Second)
	expect("after a long time it begins anew", 0, 0)
	ends(1, time.Second)
	expect("after a long time it begins anew, at the first delay", 1, 10*time.Second)
	number--
	ends(1, time.Second)
	expect("one that is reported again counts once", 1, 10*time.Second)
	l.forget("web")
	expect("a release that is gone has none", 0, 0)
	for n := range number {
		l.deleted(types.UID(fmt.Sprint(n + 1)))
	}
	if len(l.noted) > 0 {
		t.Errorf("%d are remembered of none", len(l.noted))
	}
}

func TestReadinessIsCountedFromWhenItWasSeen(t *testing.T) {
	reporting := func(status metav1.ConditionStatus, at time.Time) *v1alpha1.Instance {
		i := made("web-1", owned)
		i.Status.Conditions = []metav1.Condition{{Type: "Other", Status: "True"}, {Type: v1alpha1.InstanceConditionReady, Status: status, LastTransitionTime: metav1.NewTime(at)}}
		return i
	}
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	for _, tc := range []struct {
		name     string
		old, now *v1alpha1.Instance
		want     time.Time
	}{
		{"a host with a correct clock", reporting(no, noon), reporting(yes, noon.Add(-time.Second)), noon.Add(-time.Second)},
		{"a host that is an hour ahead", reporting(no, noon), reporting(yes, noon.Add(time.Hour)), noon},
		{"a host that is an hour behind", reporting(no, noon), reporting(yes, noon.Add(-time.Hour)), noon},
		{"ready again, before the watch showed that it was not", reporting(yes, noon.Add(-2*time.Hour)), reporting(yes, noon.Add(-time.Hour)), noon},
		{"seen for the first time, and ready for long", nil, reporting(yes, noon.Add(-time.Hour)), noon.Add(-time.Hour)},
		{"seen for the first time, and ready since tomorrow", nil, reporting(yes, noon.Add(24*time.Hour)), noon},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(noon)
			r := newReadiness(clock)
			r.observe(tc.old, tc.now)
			clock.SetTime(noon.Add(time.Minute))
			r.observe(tc.now, tc.now) // another field is written
			corrected := r.correct(tc.now)
			if got := corrected.Status.Conditions[1].LastTransitionTime.Time; !got.Equal(tc.want) {
				t.Errorf("ready since %s, want %s", got, tc.want)
			}
			if tc.now.Status.Conditions[1].LastTransitionTime.Time.Equal(noon) && corrected != tc.now {
				t.Error("the informer's object was changed")
			}
			r.forget(tc.now)
			if len(r.of) > 0 {
				t.Errorf("%d are remembered of none", len(r.of))
			}
		})
	}
}

// The cache of an informer is ahead of its handlers: several instances have ended in it before the
// first handler is called.
func TestInstancesWhoseEndIsNotReportedYetAreNotReplacedTogether(t *testing.T) {
	ended := func(name string) *v1alpha1.Instance {
		return made(name, owned, withVersion("1"), in(v1alpha1.InstanceFailed), func(i *v1alpha1.Instance) { i.CreationTimestamp = metav1.NewTime(noon) })
	}
	w := newWorld(t, web(3), ended("a"), ended("b"), ended("c"))
	if _, err := w.does(); err != nil || w.made.Load() != 1 {
		t.Errorf("%d are replaced at once, want 1 (%v)", w.made.Load(), err)
	}
	w.instanceHandler().OnUpdate(made("a", owned), ended("a"))
	if held, left := w.losses.held("web-uid"); held != 2 || left != firstReplacement {
		t.Errorf("%d are held back for %s, want 2 for %s", held, left, firstReplacement)
	}
}

func TestWhatIsGoneIsNotRecordedByAReconciliationThatListedItBefore(t *testing.T) {
	ended := func(name string) *v1alpha1.Instance {
		return made(name, owned, withVersion("1"), in(v1alpha1.InstanceFailed), func(i *v1alpha1.Instance) { i.CreationTimestamp = metav1.NewTime(noon) })
	}
	for _, tc := range []struct {
		name string
		// between happens after the list and before its instances are recorded.
		between     func(*testing.T, *world, []*v1alpha1.Instance)
		noted, held int
	}{
		{"all are still there", func(*testing.T, *world, []*v1alpha1.Instance) {}, 2, 1},
		{"the instances are deleted", func(t *testing.T, w *world, listed []*v1alpha1.Instance) {
			for _, i := range listed {
				if err := w.instances.Delete(i); err != nil {
					t.Fatal(err)
				}
				w.instanceHandler().OnDelete(i)
			}
		}, 0, 0},
		{"they have been recorded, and are deleted", func(t *testing.T, w *world, listed []*v1alpha1.Instance) {
			for _, i := range listed {
				w.instanceHandler().OnUpdate(made(i.Name, owned), i)
				if err := w.instances.Delete(i); err != nil {
					t.Fatal(err)
				}
				w.instanceHandler().OnDelete(i)
			}
		}, 0, 1},
		{"others of the same names are there", func(t *testing.T, w *world, listed []*v1alpha1.Instance) {
			for _, i := range listed {
				next := made(i.Name, owned, withVersion("2"), func(i *v1alpha1.Instance) { i.UID = "next" })
				if err := w.instances.Update(next); err != nil {
					t.Fatal(err)
				}
				w.instanceHandler().OnUpdate(i, next)
			}
		}, 0, 0},
		{"the release is deleted", func(t *testing.T, w *world, _ []*v1alpha1.Instance) {
			if err := w.releaseIndexer.Delete(web(3)); err != nil {
				t.Fatal(err)
			}
			w.releaseHandler().OnDelete(web(3))
		}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, web(3), ended("a"), ended("b"))
			listed, err := w.find(releaseKey("default", "web-uid"))
			if err != nil || len(listed) != 2 {
				t.Fatalf("listed %d, %v", len(listed), err)
			}
			tc.between(t, w, listed)
			w.noteEnded(web(3), listed)
			if held, _ := w.losses.held("web-uid"); len(w.losses.noted) != tc.noted || held != tc.held {
				t.Errorf("%d are noted and %d held back, want %d and %d", len(w.losses.noted), held, tc.noted, tc.held)
			}
		})
	}
}
