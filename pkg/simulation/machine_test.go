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

package simulation

import (
	"slices"
	"strings"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	// fair dice fall by the seed; there is no chance in what these tests look at but that of
	// delays, which are from half of the mean to one and a half.
	fair = dice{seed: 7, host: "sim-1"}
)

func newInstance(change ...func(*v1alpha1.Instance)) *v1alpha1.Instance {
	instance := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "u", Generation: 2},
		Spec: v1alpha1.InstanceSpec{
			HostName: "sim-1", RestartPolicy: v1alpha1.RestartPolicyAlways,
			Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}},
		},
		Status: v1alpha1.InstanceStatus{
			Phase:      v1alpha1.InstancePending,
			Conditions: []metav1.Condition{{Type: v1alpha1.InstanceConditionScheduled, Status: metav1.ConditionTrue, Reason: "Bound", LastTransitionTime: metav1.NewTime(start)}},
		},
	}
	for _, f := range change {
		f(instance)
	}
	return instance
}

func policy(p v1alpha1.RestartPolicy) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) { i.Spec.RestartPolicy = p }
}

func deletedAt(second int, grace int64) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) {
		i.DeletionTimestamp = ptr.To(metav1.NewTime(start.Add(time.Duration(second)*time.Second + time.Duration(grace)*time.Second)))
		i.DeletionGracePeriodSeconds = &grace
	}
}

// step is a moment: what happens to the instance, and what must be reported then.
type step struct {
	second   int
	change   func(*v1alpha1.Instance)
	restart  bool // of the simulation, which forgets everything
	phase    v1alpha1.InstancePhase
	ready    bool
	restarts int32
	reason   string // of the instance, or of what the container waits for or ended with
	stopped  bool
}

func TestWhatHappensToAnInstance(t *testing.T) {
	const pending, runs, failed, succeeded = v1alpha1.InstancePending, v1alpha1.InstanceRunning, v1alpha1.InstanceFailed, v1alpha1.InstanceSucceeded
	calm := Behaviour{StartDelay: 10 * time.Second, StopDelay: 4 * time.Second, BadImages: []string{":bad"}}
	failing := Behaviour{StartDelay: time.Second, FailureRate: 1, FailureAfter: 20 * time.Second}
	jobs := Behaviour{RunTime: 30 * time.Second}
	image := func(name string) func(*v1alpha1.Instance) {
		return func(i *v1alpha1.Instance) { i.Spec.Containers[0].Image = name }
	}
	for _, tc := range []struct {
		name      string
		behaviour Behaviour
		instance  *v1alpha1.Instance
		steps     []step
	}{
		{"it starts after a while, and runs on", calm, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 4, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 9999, phase: runs, ready: true},
		}},
		{"without a delay it runs at once", Behaviour{}, newInstance(), []step{{second: 0, phase: runs, ready: true}}},
		{"a bad image is never fetched", calm, newInstance(image("web:bad")), []step{
			{second: 0, phase: pending, reason: "ImagePullBackOff"},
			{second: 9999, phase: pending, reason: "ImagePullBackOff"},
		}},
		{"a bad image that is made good is", calm, newInstance(image("web:bad")), []step{
			{second: 0, phase: pending, reason: "ImagePullBackOff"},
			{second: 100, change: image("web:2"), phase: pending, reason: "ContainerCreating"},
			{second: 104, phase: pending, reason: "ContainerCreating"},
			{second: 116, phase: runs, ready: true},
		}},
		{"a new image starts the container again, without blame", calm, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 20, change: image("web:2"), phase: runs, restarts: 1, reason: "ContainerCreating"},
			{second: 36, phase: runs, ready: true, restarts: 1},
		}},
		{"a bad image takes the place of one that ran", calm, newInstance(), []step{
			{second: 16, phase: pending, reason: "ContainerCreating"},
			{second: 32, phase: runs, ready: true},
			{second: 40, change: image("web:bad"), phase: runs, restarts: 1, reason: "ImagePullBackOff"},
		}},
		{"what fails is started again", failing, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 2, phase: runs, ready: true},
			{second: 11, phase: runs, ready: true},
			{second: 33, phase: runs, restarts: 1, reason: "CrashLoopBackOff"},
			{second: 37, phase: runs, ready: true, restarts: 1},
		}},
		{"what fails and shall not be started again has failed", failing, newInstance(policy(v1alpha1.RestartPolicyNever)), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 2, phase: runs, ready: true},
			{second: 33, phase: failed, reason: "Error"},
			{second: 9999, phase: failed, reason: "Error"},
		}},
		{"what fails is started again on failure", failing, newInstance(policy(v1alpha1.RestartPolicyOnFailure)), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 2, phase: runs, ready: true},
			{second: 33, phase: runs, restarts: 1, reason: "CrashLoopBackOff"},
		}},
		{"what ends by itself has succeeded", jobs, newInstance(policy(v1alpha1.RestartPolicyOnFailure)), []step{
			{second: 0, phase: runs, ready: true},
			{second: 29, phase: runs, ready: true},
			{second: 30, phase: succeeded, reason: "Completed"},
		}},
		{"what shall always run does not end by itself", jobs, newInstance(), []step{
			{second: 0, phase: runs, ready: true},
			{second: 9999, phase: runs, ready: true},
		}},
		{"it is stopped when its deadline has passed", calm, newInstance(func(i *v1alpha1.Instance) { i.Spec.ActiveDeadlineSeconds = ptr.To[int64](60) }), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 59, phase: runs, ready: true},
			{second: 60, phase: failed, reason: "DeadlineExceeded"},
			{second: 61, restart: true, phase: failed, reason: "DeadlineExceeded"},
		}},
		{"a deadline that is set later counts from the start", calm, newInstance(), []step{
			{second: 16, phase: pending, reason: "ContainerCreating"},
			{second: 70, phase: runs, ready: true},
			{second: 80, change: func(i *v1alpha1.Instance) { i.Spec.ActiveDeadlineSeconds = ptr.To[int64](60) }, phase: failed, reason: "DeadlineExceeded"},
		}},
		{"it stops in its own time", calm, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 20, change: deletedAt(20, 30), phase: runs, ready: true},
			{second: 21, phase: runs, ready: true},
			{second: 26, phase: succeeded, reason: "Completed", stopped: true},
		}},
		{"it is killed when its grace period is over", calm, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 20, change: deletedAt(20, 1), phase: runs, ready: true},
			{second: 21, phase: failed, reason: "Error", stopped: true},
		}},
		{"what has ended need not stop", jobs, newInstance(policy(v1alpha1.RestartPolicyNever)), []step{
			{second: 0, phase: runs, ready: true},
			{second: 30, phase: succeeded, reason: "Completed"},
			{second: 31, change: deletedAt(31, 30), phase: succeeded, reason: "Completed", stopped: true},
		}},
		{"a host that was restarted goes on where it was", failing, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 2, phase: runs, ready: true},
			{second: 5, restart: true, phase: runs, ready: true},
			{second: 33, restart: true, phase: runs, restarts: 1, reason: "CrashLoopBackOff"},
			{second: 37, restart: true, phase: runs, restarts: 1, reason: "CrashLoopBackOff"},
			{second: 41, phase: runs, ready: true, restarts: 1},
		}},
		{"an image that changed while the host was away is noticed", calm, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 20, restart: true, change: image("web:2"), phase: runs, restarts: 1, reason: "ContainerCreating"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			instance := tc.instance
			var m *machine
			for _, s := range tc.steps {
				now := start.Add(time.Duration(s.second) * time.Second)
				if s.change != nil {
					s.change(instance)
				}
				if m == nil || s.restart {
					m = accept(instance, now)
				}
				next, stopped := m.advance(instance, now, &tc.behaviour, fair)
				if !next.IsZero() && !next.After(now) {
					t.Errorf("at %d: wants to be looked at again at %v, which is not later", s.second, next)
				}
				if stopped != s.stopped {
					t.Errorf("at %d: stopped is %v", s.second, stopped)
				}
				instance.Status = m.report(instance, "100.64.0.1", now, &tc.behaviour)
				check(t, s, instance)
				// Nothing changes by itself, or the server would be written to for ever.
				if again := m.report(instance, "100.64.0.1", now.Add(time.Hour), &tc.behaviour); !apiequality.Semantic.DeepEqual(again, instance.Status) {
					t.Errorf("at %d: reported again, the status differs:\n%+v\n%+v", s.second, instance.Status, again)
				}
			}
		})
	}
}

func check(t *testing.T, s step, instance *v1alpha1.Instance) {
	t.Helper()
	status := instance.Status
	c := status.ContainerStatuses[0]
	reason := status.Reason
	if waiting := c.State.Waiting; reason == "" && waiting != nil {
		reason = waiting.Reason
	}
	if terminated := c.State.Terminated; reason == "" && terminated != nil {
		reason = terminated.Reason
	}
	ready := apimeta.IsStatusConditionTrue(status.Conditions, v1alpha1.InstanceConditionReady)
	if status.Phase != s.phase || ready != s.ready || c.Ready != s.ready || c.RestartCount != s.restarts || reason != s.reason {
		t.Errorf("at %d: %s, ready %v (%v), %d restarts, reason %q; want %+v", s.second, status.Phase, ready, c.Ready, c.RestartCount, reason, s)
	}
	if !apimeta.IsStatusConditionTrue(status.Conditions, v1alpha1.InstanceConditionScheduled) {
		t.Errorf("at %d: the scheduler's condition is gone: %+v", s.second, status.Conditions)
	}
	if status.ObservedGeneration != instance.Generation || status.StartTime == nil || status.HostIP == "" || c.Image != instance.Spec.Containers[0].Image {
		t.Errorf("at %d: incomplete: %+v", s.second, status)
	}
}

func TestAnInstanceThatWasEvictedIsLeftAlone(t *testing.T) {
	calm := Behaviour{}
	instance := newInstance()
	m := accept(instance, start)
	m.advance(instance, start, &calm, fair)
	instance.Status = m.report(instance, "100.64.0.1", start, &calm)
	instance.Status.Phase, instance.Status.Reason = v1alpha1.InstanceFailed, "Evicted"
	if next, stopped := m.advance(instance, start.Add(time.Second), &calm, fair); !m.over || !next.IsZero() || stopped {
		t.Errorf("over %v, next %v, stopped %v", m.over, next, stopped)
	}
	deletedAt(2, 30)(instance)
	if _, stopped := m.advance(instance, start.Add(2*time.Second), &calm, fair); !stopped {
		t.Error("it is not deleted")
	}
}

func TestOneContainerThatIsNotReadyMakesTheInstanceNotReady(t *testing.T) {
	b := Behaviour{BadImages: []string{"broken"}}
	instance := newInstance(func(i *v1alpha1.Instance) {
		i.Spec.Containers = append(i.Spec.Containers, v1alpha1.Container{Name: "log", Image: "broken:1"})
	})
	m := accept(instance, start)
	m.advance(instance, start, &b, fair)
	status := m.report(instance, "100.64.0.1", start, &b)
	ready := apimeta.FindStatusCondition(status.Conditions, v1alpha1.InstanceConditionReady)
	if status.Phase != v1alpha1.InstancePending || !status.ContainerStatuses[0].Ready || ready.Status != metav1.ConditionFalse || !strings.HasSuffix(ready.Message, ": log") {
		t.Errorf("%+v", status)
	}
}

func TestBackOffGrowsToALimit(t *testing.T) {
	b := Behaviour{StartDelay: time.Minute}
	m := &machine{key: "default/web"}
	var last time.Duration
	for restarts := range int32(9) {
		delay := m.startDelay(&container{name: "web", restarts: restarts, end: &end{code: 1}}, &b, fair)
		if delay > longestBackOff || restarts > maxDoublings && delay != longestBackOff {
			t.Errorf("after %d restarts: %v", restarts, delay)
		}
		last = delay
	}
	if last != longestBackOff {
		t.Errorf("the last delay is %v", last)
	}
}

func TestDice(t *testing.T) {
	throws := func(d dice) (all []float64) {
		for _, word := range []string{"a", "b", "c"} {
			all = append(all, d.throw("default/web", word))
		}
		return all
	}
	if !slices.Equal(throws(fair), throws(dice{seed: 7, host: "sim-1"})) {
		t.Error("the same dice fall differently")
	}
	for _, other := range []dice{{seed: 8, host: "sim-1"}, {seed: 7, host: "sim-2"}} {
		if slices.Equal(throws(fair), throws(other)) {
			t.Errorf("%+v fall as %+v", other, fair)
		}
	}
	// Names that differ in a digit are what there is most of: their throws must still spread.
	const hosts = 10000
	var below int
	for n := range hosts {
		x := (dice{seed: 1, host: (&Options{NamePrefix: "sim-"}).HostName(n)}).throw("default/web", "fails")
		if x < 0 || x >= 1 {
			t.Fatalf("a throw of %v", x)
		}
		if x < 0.1 {
			below++
		}
	}
	if below < hosts/10-200 || below > hosts/10+200 {
		t.Errorf("%d of %d throws are below 0.1", below, hosts)
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	seen := map[string]int{}
	for number := 1; number <= MaxHosts; number++ {
		for _, address := range []string{hostIP(number), instanceIP(number, 1)} {
			if other := seen[address]; other != 0 {
				t.Fatalf("hosts %d and %d both have %s", other, number, address)
			}
			seen[address] = number
		}
	}
	if hostIP(1) != "100.64.0.1" || hostIP(MaxHosts) != "100.65.12.36" || instanceIP(MaxHosts, MaxInstances) != "10.255.255.251" {
		t.Errorf("%s %s %s", hostIP(1), hostIP(MaxHosts), instanceIP(MaxHosts, MaxInstances))
	}
}
