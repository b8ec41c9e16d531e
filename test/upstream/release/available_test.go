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

	upstream "k8s.io/kubernetes/pkg/controller"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	ours "github.com/gatehouse-dev/gatehouse/pkg/controller/release"
)

// next returns after which time each of the two requeues; zero if it does not.
func next(instances []*v1alpha1.Instance, minReadySeconds int32, now time.Time) (theirs, mine time.Duration) {
	r := release("web", 1, map[string]string{"app": "web"})
	r.Spec.MinReadySeconds = minReadySeconds
	theirs = ptr.Deref(upstream.FindMinNextPodAvailabilityCheck(pods(instances), minReadySeconds, now, clocktesting.NewFakePassiveClock(now)), 0)
	return theirs, ours.NextCheck(r, instances, now)
}

func TestBothLookAgainAtTheSameTime(t *testing.T) {
	since := func(seconds int) change { return ready(start.Add(-time.Duration(seconds) * time.Second)) }
	for _, tc := range []struct {
		name      string
		min       int32
		instances []*v1alpha1.Instance
		want      time.Duration
	}{
		{name: "none is there", min: 30},
		{name: "one that is not ready", min: 30, instances: []*v1alpha1.Instance{instance("a", notReady)}},
		{name: "minReadySeconds is 0", instances: []*v1alpha1.Instance{instance("a", since(0)), instance("b", since(10))}},
		{name: "ready since an unknown time", min: 1, instances: []*v1alpha1.Instance{instance("a", ready(time.Time{}))}},
		{name: "just became ready, minReadySeconds is 1", min: 1, instances: []*v1alpha1.Instance{instance("a", since(0))}, want: time.Second},
		{name: "ready for 20 of 30 seconds", min: 30, instances: []*v1alpha1.Instance{instance("a", since(20))}, want: 10 * time.Second},
		{name: "available", min: 30, instances: []*v1alpha1.Instance{instance("a", since(60))}},
		{name: "available just now", min: 30, instances: []*v1alpha1.Instance{instance("a", since(30))}},
		{name: "the first of many", min: 30, instances: []*v1alpha1.Instance{instance("a", notReady), instance("b", since(2)), instance("c", since(26)), instance("d", since(0))}, want: 4 * time.Second},
		{name: "none but available and unready ones", min: 30, instances: []*v1alpha1.Instance{instance("a", notReady), instance("b", since(31)), instance("c", since(90))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if theirs, mine := next(tc.instances, tc.min, start); theirs != tc.want || mine != tc.want {
				t.Errorf("upstream in %s, ours in %s, want %s", theirs, mine, tc.want)
			}
		})
	}
	s := newSource(t)
	for n := range 5000 {
		var list []*v1alpha1.Instance
		for m := range s.IntN(5) {
			list = append(list, s.instance(fmt.Sprint(m), start))
		}
		if theirs, mine := next(list, int32(s.IntN(1000000)), start); theirs != mine {
			t.Fatalf("list %d: upstream in %s, ours in %s", n, theirs, mine)
		}
	}
}
