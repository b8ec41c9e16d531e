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

package hostlifecycle

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	isReady    = metav1.ConditionTrue
	isNotReady = metav1.ConditionFalse
	isUnknown  = metav1.ConditionUnknown
	noSchedule = v1alpha1.TaintEffectNoSchedule
	noExecute  = v1alpha1.TaintEffectNoExecute
)

func taint(key string, effect v1alpha1.TaintEffect) v1alpha1.Taint {
	return v1alpha1.Taint{Key: key, Effect: effect}
}

func TestWhichTaintsAHostShouldHave(t *testing.T) {
	gpu := taint("example.com/gpu", noExecute)
	notReady, notReadyNow := taint(v1alpha1.TaintHostNotReady, noSchedule), taint(v1alpha1.TaintHostNotReady, noExecute)
	away, awayNow := taint(v1alpha1.TaintHostUnreachable, noSchedule), taint(v1alpha1.TaintHostUnreachable, noExecute)
	turn, halt := evictionState{evict: true}, evictionState{halt: true}
	for _, tc := range []struct {
		name  string
		ready metav1.ConditionStatus
		has   []v1alpha1.Taint
		may   evictionState
		want  []v1alpha1.Taint
	}{
		{"a ready host has none of ours", isReady, []v1alpha1.Taint{notReady, gpu, notReadyNow, away, awayNow}, evictionState{}, []v1alpha1.Taint{gpu}},
		{"a host that has not reported keeps its registered taints", "", []v1alpha1.Taint{notReady}, evictionState{}, []v1alpha1.Taint{notReady}},
		{"a host that is not ready gets no new instance", isNotReady, []v1alpha1.Taint{gpu}, evictionState{}, []v1alpha1.Taint{gpu, notReady}},
		{"a host with a grant evicts", isNotReady, []v1alpha1.Taint{notReady}, turn, []v1alpha1.Taint{notReady, notReadyNow}},
		{"a silent host gets no new instance", isUnknown, nil, evictionState{}, []v1alpha1.Taint{away}},
		{"a host that was not ready and becomes silent needs no second grant", isUnknown, []v1alpha1.Taint{notReady, notReadyNow}, evictionState{}, []v1alpha1.Taint{away, awayNow}},
		{"a host that reports again and is not ready needs no second grant", isNotReady, []v1alpha1.Taint{away, awayNow}, evictionState{}, []v1alpha1.Taint{notReady, notReadyNow}},
		{"no host evicts when all are silent", isUnknown, []v1alpha1.Taint{away, awayNow, gpu}, halt, []v1alpha1.Taint{away, gpu}},
		{"not even a host with a grant", isUnknown, []v1alpha1.Taint{away}, evictionState{evict: true, halt: true}, []v1alpha1.Taint{away}},
		{"what is as it should be stays in its order", isUnknown, []v1alpha1.Taint{awayNow, gpu, away}, turn, []v1alpha1.Taint{awayNow, gpu, away}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := desiredTaints(hostWith("a", tc.ready, tc.has...), tc.may); !slices.Equal(got, tc.want) {
				t.Errorf("got %+v, not %+v", got, tc.want)
			}
		})
	}
}

func TestUnreadyHostsAreToleratedForAWhileByDefault(t *testing.T) {
	for _, tc := range []struct {
		name        string
		tolerations []v1alpha1.Toleration
		want        int
	}{
		{"nothing at all", nil, 2},
		{"something else", []v1alpha1.Toleration{{Key: "example.com/gpu", Operator: v1alpha1.TolerationOpExists}}, 2},
		{"one of the two", []v1alpha1.Toleration{{Key: v1alpha1.TaintHostNotReady, Operator: v1alpha1.TolerationOpExists, Effect: noExecute}}, 1},
		{"only NoSchedule", []v1alpha1.Toleration{{Key: v1alpha1.TaintHostNotReady, Operator: v1alpha1.TolerationOpExists, Effect: noSchedule}}, 2},
		{"everything", []v1alpha1.Toleration{{Operator: v1alpha1.TolerationOpExists}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := withDefaults(tc.tolerations, 300*time.Second)
			if len(got)-len(tc.tolerations) != tc.want {
				t.Errorf("got %+v", got)
			}
			for _, added := range got[len(tc.tolerations):] {
				if *added.TolerationSeconds != 300 || added.Effect != noExecute {
					t.Errorf("added %+v", added)
				}
			}
		})
	}
}

func on(name string, change ...func(*v1alpha1.Instance)) *v1alpha1.Instance {
	i := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       v1alpha1.InstanceSpec{HostName: "a"},
		Status:     v1alpha1.InstanceStatus{Phase: v1alpha1.InstanceRunning, Conditions: []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue}}},
	}
	for _, f := range change {
		f(i)
	}
	return i
}

func beingDeleted(i *v1alpha1.Instance) { i.DeletionTimestamp = ptr.To(metav1.NewTime(start)) }
func succeeded(i *v1alpha1.Instance)    { i.Status.Phase = v1alpha1.InstanceSucceeded }
func starting(i *v1alpha1.Instance)     { i.Status.Conditions = nil }

func tolerating(key string, seconds *int64) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) {
		i.Spec.Tolerations = append(i.Spec.Tolerations, v1alpha1.Toleration{Key: key, Operator: v1alpha1.TolerationOpExists, Effect: noExecute, TolerationSeconds: seconds})
	}
}

func namesOf(instances []*v1alpha1.Instance) []string {
	var all []string
	for _, i := range instances {
		all = append(all, i.Name)
	}
	return all
}

func TestWhatBecomesOfTheInstancesOfAHost(t *testing.T) {
	away := []v1alpha1.Taint{taint(v1alpha1.TaintHostUnreachable, noSchedule), taint(v1alpha1.TaintHostUnreachable, noExecute)}
	gpu := taint("example.com/gpu", noExecute)
	out := taint(v1alpha1.TaintHostOutOfService, noExecute)
	for _, tc := range []struct {
		name                   string
		host                   *v1alpha1.Host
		instances              []*v1alpha1.Instance
		memory                 memory
		unready, evict, remove []string
		again                  time.Duration
		confirm                bool
	}{
		{name: "of a ready host nothing", host: hostWith("a", isReady), instances: []*v1alpha1.Instance{on("x"), on("y", beingDeleted)}},
		{name: "of a silent host those that are ready no longer are", host: hostWith("a", isUnknown, away[0]), instances: []*v1alpha1.Instance{on("x"), on("y", starting), on("z", succeeded)}, unready: []string{"x"}},
		{name: "of a host that is not ready, too", host: hostWith("a", isNotReady), instances: []*v1alpha1.Instance{on("x")}, unready: []string{"x"}},
		{name: "instances are marked once, because the agent may correct it", host: hostWith("a", isNotReady), instances: []*v1alpha1.Instance{on("x")}, memory: memory{marked: true}},
		{name: "an instance without a toleration stays for the default time", host: hostWith("a", isUnknown, away...), instances: []*v1alpha1.Instance{on("x", starting)}, again: 300 * time.Second},
		{name: "the shortest remaining time is the next check", host: hostWith("a", isUnknown, away...), instances: []*v1alpha1.Instance{
			on("x", starting), on("y", starting, tolerating(v1alpha1.TaintHostUnreachable, ptr.To[int64](20))), on("z", starting, tolerating("", nil)),
		}, again: 20 * time.Second},
		{name: "after its time one is evicted", host: hostWith("a", isUnknown, away...), instances: []*v1alpha1.Instance{on("x", starting), on("y", starting)}, memory: memory{tolerated: map[types.UID]time.Time{
			"x": start.Add(-300 * time.Second), "y": start.Add(-299 * time.Second),
		}}, evict: []string{"x"}, again: time.Second},
		{name: "an instance that tolerates for zero seconds is evicted at once", host: hostWith("a", isUnknown, away...), instances: []*v1alpha1.Instance{on("x", starting, tolerating("", ptr.To[int64](0)))}, evict: []string{"x"}},
		{name: "an operator's taint evicts at once, from a ready host, too", host: hostWith("a", isReady, gpu), instances: []*v1alpha1.Instance{on("x"), on("y", tolerating("example.com/gpu", nil))}, evict: []string{"x"}},
		{name: "NoSchedule evicts no instance", host: hostWith("a", isReady, taint("example.com/gpu", noSchedule)), instances: []*v1alpha1.Instance{on("x")}},
		{name: "an instance that has ended or is being deleted is not evicted", host: hostWith("a", isReady, gpu), instances: []*v1alpha1.Instance{on("x", succeeded), on("y", beingDeleted)}},
		{name: "out of service, what is being deleted is removed", host: hostWith("a", isUnknown, out), instances: []*v1alpha1.Instance{on("x", beingDeleted, starting), on("y", starting)}, evict: []string{"y"}, remove: []string{"x"}},
		{name: "out of service, but ready: its agent does it", host: hostWith("a", isReady, out), instances: []*v1alpha1.Instance{on("x", beingDeleted)}},
		{name: "a host that is not there is waited for", instances: []*v1alpha1.Instance{on("x"), on("y", beingDeleted)}, again: 40 * time.Second},
		{name: "not from the beginning each time", instances: []*v1alpha1.Instance{on("x")}, memory: memory{missing: start.Add(-39 * time.Second)}, again: time.Second},
		{name: "then all is removed, if the server confirms it", instances: []*v1alpha1.Instance{on("x"), on("y", beingDeleted), on("z", succeeded)}, memory: memory{missing: start.Add(-40 * time.Second)}, confirm: true, remove: []string{"x", "y", "z"}},
		{name: "of a host that is not there, without instances, nothing", memory: memory{missing: start.Add(-time.Hour)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := decide(tc.host, tc.instances, &tc.memory, DefaultOptions(), start)
			for what, pair := range map[string][2][]string{
				"unready": {namesOf(p.unready), tc.unready}, "evict": {namesOf(p.evict), tc.evict}, "remove": {namesOf(p.remove), tc.remove},
			} {
				if !slices.Equal(pair[0], pair[1]) {
					t.Errorf("%s: %q, not %q", what, pair[0], pair[1])
				}
			}
			if p.again != tc.again || p.confirm != tc.confirm {
				t.Errorf("again after %v, not %v; ask: %t", p.again, tc.again, p.confirm)
			}
		})
	}
}

func TestTheTimeBeginsWithTheTaintAndEndsWithIt(t *testing.T) {
	away, notReady := taint(v1alpha1.TaintHostUnreachable, noExecute), taint(v1alpha1.TaintHostNotReady, noExecute)
	instances := []*v1alpha1.Instance{on("x", starting)}
	m, o := &memory{}, DefaultOptions()
	decide(hostWith("a", isNotReady, notReady), instances, m, o, start)
	// Another owned taint in its place continues the same period.
	if p := decide(hostWith("a", isUnknown, away), instances, m, o, start.Add(200*time.Second)); p.again != 100*time.Second {
		t.Errorf("again after %v", p.again)
	}
	// The period starts again for a host that recovers and fails again.
	decide(hostWith("a", isReady), instances, m, o, start.Add(250*time.Second))
	if p := decide(hostWith("a", isUnknown, away), instances, m, o, start.Add(260*time.Second)); p.again != 300*time.Second {
		t.Errorf("again after %v", p.again)
	}
	// It also starts again for a host that was missing.
	decide(nil, instances, m, o, start.Add(270*time.Second))
	if m.missing.IsZero() {
		t.Error("the memory has no time for the missing host")
	}
	decide(hostWith("a", isReady), instances, m, o, start.Add(280*time.Second))
	if p := decide(nil, instances, m, o, start.Add(400*time.Second)); p.again != o.Quarantine {
		t.Errorf("again after %v", p.again)
	}
}

func TestWhatIsWrittenAboutASilentHost(t *testing.T) {
	host := hostWith("a", isReady)
	host.Generation = 4
	host.Status.Conditions = append([]metav1.Condition{{Type: "DiskPressure", Status: isNotReady}}, host.Status.Conditions...)
	ready := withUnknown(host, start).Status.Conditions[0]
	if ready.Type != v1alpha1.HostConditionReady || ready.Status != isUnknown || ready.Reason != "HostStatusUnknown" || ready.ObservedGeneration != 0 || !ready.LastTransitionTime.Time.Equal(start) {
		t.Errorf("wrote %+v first", ready)
	}
	if readyOf(host).Status != isReady {
		t.Error("the informer's own object was changed")
	}
	marked := withHostNotReady(on("x"), start).Status.Conditions[0]
	if marked.Status != isNotReady || marked.Reason != "HostNotReady" || marked.Message != "host a is not ready" {
		t.Errorf("wrote %+v", marked)
	}
}
