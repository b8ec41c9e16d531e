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

package scheduler

import (
	"math"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

type hostChange = func(*v1alpha1.Host)

func hosts(changes ...hostChange) []*v1alpha1.Host {
	var all []*v1alpha1.Host
	for i, change := range changes {
		all = append(all, readyHost(string(rune('a'+i)), change))
	}
	return all
}

func asIs(*v1alpha1.Host) {}

func cordoned(h *v1alpha1.Host) { h.Spec.Unschedulable = true }

func TestWhatKeepsAnInstanceOffAHost(t *testing.T) {
	for _, tc := range []struct {
		name     string
		host     *v1alpha1.Host
		there    []*v1alpha1.Instance
		instance *v1alpha1.Instance
		want     string
	}{
		{name: "a ready host with free resources fits", host: readyHost("a"), instance: newInstance("x"), want: "fit"},
		{name: "the condition Ready is False", host: readyHost("a", withReady("False")), instance: newInstance("x"), want: "not ready"},
		{name: "the condition Ready is Unknown", host: readyHost("a", withReady("Unknown")), instance: newInstance("x"), want: "not ready"},
		{name: "the host has not reported yet", host: readyHost("a", func(h *v1alpha1.Host) { h.Status.Conditions = nil }), instance: newInstance("x"), want: "not ready"},
		{name: "a toleration does not help against not being ready", host: readyHost("a", withReady("False")), instance: newInstance("x", tolerating("")), want: "not ready"},
		{name: "the host is cordoned", host: readyHost("a", cordoned), instance: newInstance("x"), want: "unschedulable"},
		{name: "labels match", host: readyHost("a", withLabel("disk", "ssd")), instance: newInstance("x", selecting("disk", "ssd")), want: "fit"},
		{name: "a label has another value", host: readyHost("a", withLabel("disk", "hdd")), instance: newInstance("x", selecting("disk", "ssd")), want: "without the labels of hostSelector"},
		{name: "an absent label is not an empty one", host: readyHost("a"), instance: newInstance("x", selecting("disk", "")), want: "without the labels of hostSelector"},
		{name: "NoSchedule is not tolerated", host: readyHost("a", withTaint("gpu", v1alpha1.TaintEffectNoSchedule)), instance: newInstance("x"), want: "tainted gpu"},
		{name: "NoExecute is not tolerated", host: readyHost("a", withTaint("gpu", v1alpha1.TaintEffectNoExecute)), instance: newInstance("x"), want: "tainted gpu"},
		{name: "a taint is tolerated", host: readyHost("a", withTaint("gpu", v1alpha1.TaintEffectNoExecute)), instance: newInstance("x", tolerating("gpu")), want: "fit"},
		{name: "a host port is taken", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", withPort(80), boundTo("a"))}, instance: newInstance("x", withPort(80)), want: "without host port 80/TCP"},
		{name: "another host port is free", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", withPort(80), boundTo("a"))}, instance: newInstance("x", withPort(81)), want: "fit"},
		{name: "no slot is left", host: readyHost("a", withAllocatable("cpu", "4", "memory", "8Gi", "instances", "1")), there: []*v1alpha1.Instance{newInstance("y", boundTo("a"))}, instance: newInstance("x", asking()), want: "without a free instance slot"},
		{name: "a host that names no slots has none", host: readyHost("a", withAllocatable("cpu", "4", "memory", "8Gi")), instance: newInstance("x"), want: "without a free instance slot"},
		{name: "exactly as much cpu as is left", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", asking("cpu", "3"), boundTo("a"))}, instance: newInstance("x"), want: "fit"},
		{name: "a thousandth of a core too little", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", asking("cpu", "3001m"), boundTo("a"))}, instance: newInstance("x"), want: "insufficient cpu"},
		{name: "a request is rounded up and what there is down", host: readyHost("a", withAllocatable("cpu", "1000.5m", "memory", "8Gi", "instances", "10")), instance: newInstance("x", asking("cpu", "1000.1m")), want: "insufficient cpu"},
		{name: "one byte too little", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", asking("memory", "7Gi"), boundTo("a"))}, instance: newInstance("x", asking("memory", "1073741825")), want: "insufficient memory"},
		{name: "more than can be counted", host: readyHost("a", withAllocatable("cpu", "4", "memory", "1000E", "instances", "10")), instance: newInstance("x", asking("memory", "1000E")), want: "insufficient memory"},
		{name: "an instance without requests fits on a host without cpu", host: readyHost("a", withAllocatable("instances", "1")), instance: newInstance("x", asking()), want: "fit"},
		{name: "an extended resource that the host does not have", host: readyHost("a"), instance: newInstance("x", asking("example.com/gpu", "1")), want: "insufficient example.com/gpu"},
		{name: "an extended resource of which one is left", host: readyHost("a", withAllocatable("instances", "10", "example.com/gpu", "2")), there: []*v1alpha1.Instance{newInstance("y", asking("example.com/gpu", "1"), boundTo("a"))}, instance: newInstance("x", asking("example.com/gpu", "1")), want: "fit"},
		{name: "an extended resource of which none is left", host: readyHost("a", withAllocatable("instances", "10", "example.com/gpu", "1")), there: []*v1alpha1.Instance{newInstance("y", asking("example.com/gpu", "1"), boundTo("a"))}, instance: newInstance("x", asking("example.com/gpu", "1")), want: "insufficient example.com/gpu"},
		{name: "an ended instance uses nothing", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", asking("cpu", "4"), boundTo("a"), ended(v1alpha1.InstanceFailed))}, instance: newInstance("x"), want: "fit"},
		{name: "a terminating instance uses resources", host: readyHost("a"), there: []*v1alpha1.Instance{newInstance("y", asking("cpu", "4"), boundTo("a"), beingDeleted)}, instance: newInstance("x"), want: "insufficient cpu"},
		{name: "a host without allocatable offers its capacity", host: readyHost("a", func(h *v1alpha1.Host) { h.Status.Capacity, h.Status.Allocatable = h.Status.Allocatable, nil }), instance: newInstance("x"), want: "fit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stateWith([]*v1alpha1.Host{tc.host}, tc.there...)
			w := requirementsOf(tc.instance)
			if got := s.cache.hosts["a"].refuses(&w).String(); got != tc.want {
				t.Errorf("got %q, not %q", got, tc.want)
			}
		})
	}
}

func TestWhyNothingFits(t *testing.T) {
	little := withAllocatable("cpu", "4", "memory", "1Mi", "instances", "10")
	tainted := withTaint("gpu", v1alpha1.TaintEffectNoSchedule)
	for _, tc := range []struct {
		name     string
		hosts    []*v1alpha1.Host
		instance *v1alpha1.Instance
		want     string
	}{
		{"without hosts", nil, newInstance("x"), "0/0 hosts are available: there are no hosts"},
		{"the most frequent reason comes first", hosts(tainted, little, little), newInstance("x"), "0/3 hosts are available: 2 insufficient memory, 1 tainted gpu"},
		{"of equally frequent ones what is nearer to fitting comes first", hosts(cordoned, little, withReady("False")), newInstance("x"), "0/3 hosts are available: 1 insufficient memory, 1 unschedulable, 1 not ready"},
		{"a selector that no host matches is named", hosts(asIs, cordoned), newInstance("x", selecting("disk", "ssd")), "0/2 hosts are available: none has the labels of hostSelector disk=ssd"},
		{"a selector that some hosts match is not named", hosts(asIs, func(h *v1alpha1.Host) { cordoned(h); withLabel("disk", "ssd")(h) }), newInstance("x", selecting("disk", "ssd")), "0/2 hosts are available: 1 unschedulable, 1 without the labels of hostSelector"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := requirementsOf(tc.instance)
			if got := stateWith(tc.hosts).cache.explain(&w); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestRareReasonsAreSummedUp(t *testing.T) {
	var many []hostChange
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		many = append(many, withTaint(key, v1alpha1.TaintEffectNoSchedule))
	}
	w := requirementsOf(newInstance("x"))
	want := "0/10 hosts are available: 1 tainted a, 1 tainted b, 1 tainted c, 1 tainted d, 1 tainted e, 1 tainted f, 1 tainted g, 1 tainted h, 2 for other reasons"
	if got := stateWith(hosts(many...)).cache.explain(&w); got != want {
		t.Errorf("got %q", got)
	}
}

func TestAmountsAreRoundedAgainstTheInstance(t *testing.T) {
	for _, tc := range []struct {
		quantity string
		scale    resource.Scale
		up, down int64
	}{
		{"0", 0, 0, 0},
		{"-1", 0, 0, 0},
		{"1", 0, 1, 1},
		{"1.5", 0, 2, 1},
		{"100m", resource.Milli, 100, 100},
		{"1u", resource.Milli, 1, 0},
		{"4Pi", 0, most, most - 1},
		{"9E", 0, most, most - 1},
		{"9999999999E", resource.Milli, most, most - 1},
	} {
		quantity := resource.MustParse(tc.quantity)
		if up, down := rounded(quantity, tc.scale, true), rounded(quantity, tc.scale, false); up != tc.up || down != tc.down {
			t.Errorf("%s is %d and %d, not %d and %d", tc.quantity, up, down, tc.up, tc.down)
		}
	}
	if most > math.MaxInt64/2000 {
		t.Error("the sum of two thousand maximum amounts overflows")
	}
}

func TestTheClassIsWhatDecidesWhereAnInstanceFits(t *testing.T) {
	plain := newInstance("x")
	for _, tc := range []struct {
		name  string
		other *v1alpha1.Instance
		same  bool
	}{
		{"another name and owner", newInstance("y", ownedBy("r")), true},
		{"more cpu", newInstance("y", asking("cpu", "2", "memory", "1Gi")), false},
		{"an extended resource", newInstance("y", asking("cpu", "1", "memory", "1Gi", "example.com/gpu", "1")), false},
		{"a host port", newInstance("y", withPort(80)), false},
		{"a selector", newInstance("y", selecting("a", "b")), false},
		{"a toleration", newInstance("y", tolerating("gpu")), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := requirementsOf(plain), requirementsOf(tc.other)
			if same := classKeyOf(&a) == classKeyOf(&b); same != tc.same {
				t.Errorf("the same: %t", same)
			}
		})
	}
}
