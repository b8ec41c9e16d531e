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
	"slices"
	"sort"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	upstream "k8s.io/kubernetes/pkg/controller"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	ours "github.com/gatehouse-dev/gatehouse/pkg/controller/release"
)

// order returns upstream's order of two instances, as a number.
func order(a, b *v1alpha1.Instance, rankOfA, rankOfB int, now time.Time) int {
	ranked := upstream.ActivePodsWithRanks{Pods: pods([]*v1alpha1.Instance{a, b}), Rank: []int{rankOfA, rankOfB}, Now: metav1.NewTime(now)}
	switch {
	case ranked.Less(0, 1):
		return -1
	case ranked.Less(1, 0):
		return 1
	}
	return 0
}

func TestWhichOfTwoGoesFirst(t *testing.T) {
	now := start
	month, twoHours, fiveHours, eightHours := now.AddDate(0, -1, 0), now.Add(-2*time.Hour), now.Add(-5*time.Hour), now.Add(-8*time.Hour)
	unbound := instance("unbound", on(""), in(v1alpha1.InstancePending))
	pending := instance("pending", in(v1alpha1.InstancePending))
	lost := instance("unknown", in(v1alpha1.InstanceUnknown))
	unready := instance("not-ready")
	readyUnknown := instance("ready-nobody-knows-since", ready(time.Time{}))
	readyNow := instance("ready-now", ready(now), created(now))
	readyMonth := instance("ready-month", ready(month), created(month))
	readyRestarts := instance("ready-restarts", ready(now), created(now), restarts(9001))
	readyNowOld := instance("ready-now-created-month", ready(now), created(month))
	cheap := instance("cheap", ready(now), created(month), costs("10"))
	dear := instance("dear", ready(now), created(month), costs("100"))
	unbound5, unbound8 := instance("unbound-5h", on(""), in(v1alpha1.InstancePending), created(fiveHours)), instance("unbound-8h", on(""), in(v1alpha1.InstancePending), created(eightHours))
	ready2 := instance("ready-2h", on(""), ready(twoHours), created(month))
	ready5, ready8 := instance("ready-5h", on(""), ready(fiveHours), created(month)), instance("ready-8h", on(""), ready(eightHours), created(month))
	// Upstream's cases lack UIDs, which order instances of about the same age.
	for _, i := range []*v1alpha1.Instance{unbound5, unbound8, ready5, ready8} {
		i.UID = ""
	}
	type ranked struct {
		*v1alpha1.Instance
		rank int
	}
	for _, tc := range []struct {
		name          string
		first, second ranked
		want          int
	}{
		{"an unbound one and itself", ranked{unbound, 1}, ranked{unbound, 1}, 0},
		{"a pending one and itself", ranked{pending, 1}, ranked{pending, 1}, 0},
		{"one out of reach and itself", ranked{lost, 1}, ranked{lost, 1}, 0},
		{"one that is not ready and itself", ranked{unready, 1}, ranked{unready, 1}, 0},
		{"one that is ready and itself", ranked{readyNow, 1}, ranked{readyNow, 1}, 0},
		{"one that has long been ready and itself", ranked{readyMonth, 1}, ranked{readyMonth, 1}, 0},
		{"one that restarted and itself", ranked{readyRestarts, 1}, ranked{readyRestarts, 1}, 0},
		{"one that became ready long after it was made and itself", ranked{readyNowOld, 1}, ranked{readyNowOld, 1}, 0},
		{"two of about the same age", ranked{unbound5, 1}, ranked{unbound8, 1}, 0},
		{"two ready for about the same time", ranked{ready5, 1}, ranked{ready8, 1}, 0},
		{"unbound before pending, with fewer neighbours", ranked{unbound, 1}, ranked{pending, 2}, -1},
		{"unbound before pending, with more", ranked{unbound, 2}, ranked{pending, 1}, -1},
		{"pending before unknown", ranked{pending, 1}, ranked{lost, 2}, -1},
		{"unknown before running", ranked{lost, 1}, ranked{unready, 2}, -1},
		{"not ready before ready", ranked{unready, 1}, ranked{readyUnknown, 1}, -1},
		{"ready since an unknown time before ready now", ranked{readyUnknown, 1}, ranked{readyNow, 1}, -1},
		{"but one with more neighbours precedes that", ranked{readyNow, 2}, ranked{readyUnknown, 1}, -1},
		{"ready now before ready for long", ranked{readyNow, 1}, ranked{readyMonth, 1}, -1},
		{"all the more with more neighbours", ranked{readyNow, 2}, ranked{readyMonth, 1}, -1},
		{"more restarts before fewer", ranked{readyRestarts, 1}, ranked{readyNow, 1}, -1},
		{"more neighbours before more restarts", ranked{readyNow, 2}, ranked{readyRestarts, 1}, -1},
		{"made later before made earlier", ranked{readyNow, 1}, ranked{readyNowOld, 1}, -1},
		{"more neighbours before made later", ranked{readyNowOld, 2}, ranked{readyNow, 1}, -1},
		{"the cheaper before the dearer", ranked{cheap, 2}, ranked{dear, 1}, -1},
		{"the cheaper even with fewer neighbours", ranked{cheap, 1}, ranked{dear, 2}, -1},
		{"ready for two hours before ready for five", ranked{ready2, 1}, ranked{ready5, 1}, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, way := range []struct {
				a, b ranked
				want int
			}{{tc.first, tc.second, tc.want}, {tc.second, tc.first, -tc.want}} {
				theirs := order(way.a.Instance, way.b.Instance, way.a.rank, way.b.rank, now)
				mine := ours.Compare(way.a.Instance, way.b.Instance, way.a.rank, way.b.rank, now)
				if mine != way.want || theirs != way.want {
					t.Errorf("%s and %s: ours %d, upstream %d, want %d", way.a.Name, way.b.Name, mine, theirs, way.want)
				}
			}
		})
	}
}

func TestAHundredThousandRandomPairsAreOrderedAlike(t *testing.T) {
	s := newSource(t)
	seen := map[int]int{}
	for n := range 100000 {
		a, b := s.instance("a", start), s.instance("b", start)
		if n%4 == 0 {
			// The first difference decides, so most pairs differ in few fields.
			b = a.DeepCopy()
			b.UID = "b"
			other := s.instance("x", start)
			pick(s,
				func() { b.Status.Conditions = other.Status.Conditions },
				func() { b.CreationTimestamp = other.CreationTimestamp },
				func() { b.Status.ContainerStatuses = other.Status.ContainerStatuses },
				func() { b.Annotations = other.Annotations },
			)()
		}
		rankOfA, rankOfB := s.IntN(2), s.IntN(2)
		now := pick(s, start, start, start, time.Time{})
		theirs, mine := order(a, b, rankOfA, rankOfB, now), ours.Compare(a, b, rankOfA, rankOfB, now)
		seen[theirs]++
		// If the times are of one magnitude, upstream's Less can be true both ways for equal UIDs;
		// the UIDs here differ.
		if theirs != mine {
			t.Fatalf("pair %d: upstream %d, ours %d\n%+v\n%+v", n, theirs, mine, a, b)
		}
	}
	t.Logf("first %d, second %d, alike %d", seen[-1], seen[1], seen[0])
	if min(seen[-1], seen[1], seen[0]) < 1000 {
		t.Error("the pairs were too similar to prove anything")
	}
}

// TestThousandsOfRandomReleasesLoseTheSame sorts whole lists with their neighbours. Upstream's
// function for that is not exported; the test combines its two steps, counting neighbours and sorting.
func TestThousandsOfRandomReleasesLoseTheSame(t *testing.T) {
	s := newSource(t)
	for n := range 5000 {
		var all []*v1alpha1.Instance
		for m := range 1 + s.IntN(12) {
			all = append(all, s.instance(fmt.Sprint(m), start))
		}
		active := ours.Active(all)
		if len(active) == 0 {
			continue
		}
		neighbours := slices.Clone(all)
		for m := range s.IntN(6) {
			neighbours = append(neighbours, s.instance(fmt.Sprint("other", m), start))
		}
		count := s.IntN(len(active))
		onNode := map[string]int{}
		for _, p := range pods(neighbours) {
			if upstream.IsPodActive(p) {
				onNode[p.Spec.NodeName]++
			}
		}
		ranked := upstream.ActivePodsWithRanks{Pods: pods(active), Now: metav1.NewTime(start)}
		for _, p := range ranked.Pods {
			ranked.Rank = append(ranked.Rank, onNode[p.Spec.NodeName])
		}
		sort.Sort(ranked)
		var want, got []types.UID
		for _, p := range ranked.Pods[:count] {
			want = append(want, p.UID)
		}
		for _, i := range ours.Cheapest(active, neighbours, count, start) {
			got = append(got, i.UID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("list %d: upstream deletes %v, we %v", n, want, got)
		}
	}
}
