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

package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestParseCounters(t *testing.T) {
	const before = `# HELP apiserver_request_total Counter of requests
apiserver_request_total{code="200",resource="instances",subresource="status",verb="PUT"} 2
`
	const after = `apiserver_request_total{code="0",dry_run="",group="fleet.gatehouse.dev",resource="instances",scope="resource",subresource="status",verb="PUT",version="v1alpha1"} 1
apiserver_request_total{code="200",resource="instances",subresource="status",verb="PUT"} 5
apiserver_request_total{code="409",resource="instances",subresource="status",verb="PUT"} 1
apiserver_request_total{code="201",resource="instances",subresource="",verb="POST"} 4
apiserver_request_total{code="200",resource="hostleases",subresource="",verb="PUT"} 7
apiserver_request_total{code="200",resource="instances",subresource="",verb="GET"} 9
apiserver_request_total{code="200",resource="",subresource="/metrics",verb="GET"} 3
apiserver_watch_events_total{group="fleet.gatehouse.dev",resource="instances",version="v1alpha1"} 30
apiserver_flowcontrol_request_wait_duration_seconds_sum{execute="true",flow_schema="a",priority_level="b"} 0.5
apiserver_flowcontrol_request_wait_duration_seconds_count{execute="true",flow_schema="a",priority_level="b"} 10
etcd_request_duration_seconds_sum{operation="create",type="x, y"} 2
etcd_request_duration_seconds_count{operation="create",type="x, y"} 4
go_goroutines 12
`
	got := countersOf(parse(t, after)).minus(countersOf(parse(t, before)))
	if want := map[string]float64{"PUT instances/status": 5, "POST instances": 4, "PUT hostleases": 7, "GET instances": 9}; !maps.Equal(got.requests, want) {
		t.Errorf("requests %v, want %v", got.requests, want)
	}
	if want := map[string]float64{"PUT instances/status": 1}; !maps.Equal(got.refused, want) {
		t.Errorf("refused %v, want %v", got.refused, want)
	}
	if got.events["instances"] != 30 || got.waited["a"] != (mean{0.5, 10}) || got.etcd["create"].String() != "500.00 ms" {
		t.Errorf("events %v, waited %v, etcd %v", got.events, got.waited, got.etcd)
	}
	if got.writes() != 9 {
		t.Errorf("%v writes, want 9: leases and reads do not count", got.writes())
	}
	if order := byCount(got.requests); order[0] != "GET instances" || len(order) != 4 {
		t.Errorf("in the order %v", order)
	}
}

func TestRates(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(seconds ...float64) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, start.Add(time.Duration(s*float64(time.Second))))
		}
		return times
	}
	for _, tc := range []struct {
		name      string
		times     []time.Time
		all, best float64
	}{
		{"nothing", nil, 0, 0},
		{"one", at(3), 0, 0},
		{"shorter than the window", at(0, 1, 2), 1, 1},
		{"most of them in the middle", at(0, 20, 20.5, 21, 21.5, 22, 40), 0.15, 0.5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if all, best := rates(tc.times, 10*time.Second); all != tc.all || best != tc.best {
				t.Errorf("got %v and %v, want %v and %v", all, best, tc.all, tc.best)
			}
		})
	}
}

func TestInstancesAreCounted(t *testing.T) {
	instance := func(name, uid, host string, phase fleet.InstancePhase, ready metav1.ConditionStatus) *fleet.Instance {
		i := newFleetInstance(name)
		i.UID, i.Spec.HostName, i.Status.Phase = types.UID("uid-"+uid), host, phase
		i.Status.Conditions = []metav1.Condition{{Type: fleet.InstanceConditionReady, Status: ready}}
		return i
	}
	c := countInstances()
	expect := func(what string, all, bound, running, bindings int) {
		t.Helper()
		if c.all != all || c.bound != bound || c.running != running || len(c.bindings()) != bindings {
			t.Errorf("%s: %v, %d bindings", what, c, len(c.bindings()))
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(c.Replace([]any{instance("a", "", "", "", metav1.ConditionFalse), instance("b", "", "h", "", metav1.ConditionFalse)}, "1"))
	expect("two, one is bound", 2, 1, 0, 1)
	do(c.Update(instance("a", "", "h", fleet.InstancePending, metav1.ConditionFalse)))
	do(c.Update(instance("a", "", "h", fleet.InstanceRunning, metav1.ConditionFalse)))
	expect("the other is bound, too, and not ready", 2, 2, 0, 2)
	do(c.Update(instance("a", "", "h", fleet.InstanceRunning, metav1.ConditionTrue)))
	expect("it is ready", 2, 2, 1, 2)
	do(c.Update(instance("a", "another", "h", "", metav1.ConditionFalse)))
	expect("it is another now", 2, 2, 0, 3)
	c.begin()
	do(c.Delete(instance("a", "", "h", fleet.InstanceRunning, metav1.ConditionTrue)))
	expect("it is gone", 1, 1, 0, 0)
	do(c.Replace(nil, "2"))
	expect("all are gone", 0, 0, 0, 0)
}

func TestRolledOut(t *testing.T) {
	done := fleet.AppStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3}
	for _, tc := range []struct {
		name   string
		change func(*fleet.AppStatus)
		want   bool
	}{
		{"all are new and available", func(*fleet.AppStatus) {}, true},
		{"the status is of before", func(s *fleet.AppStatus) { s.ObservedGeneration = 1 }, false},
		{"an old one is left", func(s *fleet.AppStatus) { s.Replicas = 4 }, false},
		{"one is not new", func(s *fleet.AppStatus) { s.UpdatedReplicas = 2 }, false},
		{"one is not available", func(s *fleet.AppStatus) { s.AvailableReplicas = 2 }, false},
	} {
		app := &fleet.App{Spec: fleet.AppSpec{Replicas: ptr.To[int32](3)}, Status: done}
		tc.change(&app.Status)
		if got := rolledOut(app, 2); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}

func TestFleetSizes(t *testing.T) {
	b := &fleetBench{hosts: 10, instances: 120, appSize: 50, rollout: 30, direct: 15, rest: 1, timeout: 1}
	if got, want := b.sizes(), []int{30, 50, 40}; !slices.Equal(got, want) {
		t.Errorf("apps of %v, want %v", got, want)
	}
	if got := b.slots(); got != 32 {
		t.Errorf("%d slots, want 32", got)
	}
	if err := b.validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*fleetBench){
		"no hosts":                         func(b *fleetBench) { b.hosts = 0 },
		"a rollout of more than there are": func(b *fleetBench) { b.rollout = 121 },
		"more than fit":                    func(b *fleetBench) { b.instances = 5000 },
		"no rest":                          func(b *fleetBench) { b.rest = 0 },
	} {
		other := *b
		change(&other)
		if other.validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
