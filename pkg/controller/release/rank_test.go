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

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// change modifies a running instance that is bound to a host.
type change func(*v1alpha1.Instance)

func made(name string, changes ...change) *v1alpha1.Instance {
	i := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Namespace: "default", CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour))},
		Spec:       v1alpha1.InstanceSpec{HostName: "host"},
		Status:     v1alpha1.InstanceStatus{Phase: v1alpha1.InstanceRunning},
	}
	for _, c := range changes {
		c(i)
	}
	return i
}

func on(host string) change { return func(i *v1alpha1.Instance) { i.Spec.HostName = host } }

func in(phase v1alpha1.InstancePhase) change {
	return func(i *v1alpha1.Instance) { i.Status.Phase = phase }
}

func readyFor(d time.Duration) change {
	return func(i *v1alpha1.Instance) {
		i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon.Add(-d))}}
	}
}

func readyNobodyKnowsSince(i *v1alpha1.Instance) {
	i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue}}
}

func costs(what string) change {
	return func(i *v1alpha1.Instance) { i.Annotations = map[string]string{v1alpha1.DeletionCostAnnotation: what} }
}

func restarted(times ...int32) change {
	return func(i *v1alpha1.Instance) {
		for _, n := range times {
			i.Status.ContainerStatuses = append(i.Status.ContainerStatuses, v1alpha1.ContainerStatus{RestartCount: n})
		}
	}
}

func createdAgo(d time.Duration) change {
	return func(i *v1alpha1.Instance) { i.CreationTimestamp = metav1.NewTime(noon.Add(-d)) }
}

func deleted(i *v1alpha1.Instance) { i.DeletionTimestamp = &metav1.Time{Time: noon} }

func TestWhichOfTwoGoesFirst(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second *v1alpha1.Instance
		// beside and alone are the numbers of neighbours on the hosts of the two.
		beside, alone int
		noClock, same bool
	}{
		{name: "an unbound one before a bound one", first: made("a", on(""), in(v1alpha1.InstanceRunning)), second: made("b", in(v1alpha1.InstancePending))},
		{name: "a pending one before one out of reach", first: made("a", in(v1alpha1.InstancePending)), second: made("b", in(v1alpha1.InstanceUnknown))},
		{name: "one out of reach before a running one", first: made("a", in(v1alpha1.InstanceUnknown), readyFor(1)), second: made("b")},
		{name: "one without a phase is as a pending one", first: made("a", in("")), second: made("b", in(v1alpha1.InstancePending)), same: true},
		{name: "one that is not ready before one that is", first: made("a", costs("9")), second: made("b", readyFor(1), costs("1"))},
		{name: "the cheaper before the dearer", first: made("a", costs("-1")), second: made("b")},
		{name: "costs are numbers, not words", first: made("a", costs("9")), second: made("b", costs("10"))},
		{name: "a cost that is no number is ignored", first: made("a", costs("cheap")), second: made("b", costs("1"))},
		{name: "a cost with a plus sign is ignored", first: made("a", costs("+10")), second: made("b", costs("1"))},
		{name: "a cost with leading zeros is ignored", first: made("a", costs("010")), second: made("b", costs("1"))},
		{name: "a cost that is too high is ignored", first: made("a", costs("2147483648")), second: made("b", costs("1"))},
		{name: "an empty cost is ignored", first: made("a", costs("")), second: made("b", costs("0")), same: true},
		{name: "a cheaper one before one with neighbours", first: made("a", costs("1")), second: made("b", costs("2")), alone: 5},
		{name: "one with neighbours before one without", first: made("a", readyFor(time.Hour)), second: made("b", readyFor(1)), beside: 2, alone: 1},
		{name: "the one that became ready later", first: made("b", readyFor(time.Minute)), second: made("a", readyFor(time.Hour))},
		{name: "within one order of magnitude, by uid", first: made("a", readyFor(100*time.Minute)), second: made("b", readyFor(80*time.Minute))},
		{name: "without a clock, exactly", first: made("b", readyFor(80*time.Minute)), second: made("a", readyFor(100*time.Minute)), noClock: true},
		{name: "one that became ready at an unknown time", first: made("b", readyNobodyKnowsSince), second: made("a", readyFor(1))},
		{name: "one with a clock that is ahead is the youngest", first: made("b", readyFor(-time.Hour)), second: made("a", readyFor(1))},
		{name: "the one with the container that restarted most often", first: made("b", restarted(1, 5)), second: made("a", restarted(4, 4))},
		{name: "the one that was created later", first: made("b", createdAgo(time.Minute)), second: made("a", createdAgo(time.Hour))},
		{name: "two of about the same age, by uid", first: made("a", createdAgo(100*time.Minute)), second: made("b", createdAgo(80*time.Minute))},
		{name: "two that are alike", first: made("a"), second: made("b"), same: true},
		{name: "an instance and itself", first: made("a", readyFor(1), restarted(1)), second: made("a", readyFor(1), restarted(1)), same: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := noon
			if tc.noClock {
				now = time.Time{}
			}
			forth, back := Compare(tc.first, tc.second, tc.beside, tc.alone, now), Compare(tc.second, tc.first, tc.alone, tc.beside, now)
			if forth > 0 || back < 0 || (forth == 0) != tc.same || (back == 0) != tc.same {
				t.Errorf("%d one way and %d the other", forth, back)
			}
		})
	}
}

func TestTheCheapestAreDeleted(t *testing.T) {
	unbound, pending, notReady := made("unbound", on("")), made("pending", in(v1alpha1.InstancePending)), made("not-ready")
	one, two := made("one", on("h1"), readyFor(time.Hour)), made("two", on("h2"), readyFor(time.Hour))
	for _, tc := range []struct {
		name       string
		active     []*v1alpha1.Instance
		neighbours []*v1alpha1.Instance
		count      int
		want       []*v1alpha1.Instance
	}{
		{name: "none of none"},
		{name: "all of them, in whatever order", active: []*v1alpha1.Instance{one, pending}, count: 2, want: []*v1alpha1.Instance{one, pending}},
		{name: "those that do least", active: []*v1alpha1.Instance{one, two, notReady, pending, unbound}, count: 3, want: []*v1alpha1.Instance{unbound, pending, notReady}},
		{name: "one beside an instance of another release", active: []*v1alpha1.Instance{one, two}, neighbours: []*v1alpha1.Instance{one, two, made("x", on("h2"))}, count: 1, want: []*v1alpha1.Instance{two}},
		{name: "a terminating neighbour does not count", active: []*v1alpha1.Instance{one, two}, neighbours: []*v1alpha1.Instance{one, two, made("x", on("h1")), made("y", on("h2"), deleted), made("z", on("h2"), in(v1alpha1.InstanceFailed))}, count: 1, want: []*v1alpha1.Instance{one}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.active)
			if got := Cheapest(tc.active, tc.neighbours, tc.count, noon); !slices.Equal(got, tc.want) {
				t.Errorf("got %v", names(got))
			}
			if !slices.Equal(tc.active, before) {
				t.Error("the order of the argument was changed")
			}
		})
	}
}

func names(instances []*v1alpha1.Instance) []string {
	var list []string
	for _, i := range instances {
		list = append(list, i.Name)
	}
	return list
}
