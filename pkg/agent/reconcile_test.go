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

package agent

import (
	"strings"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// start is the initial time of the tests. Delays of simulated containers are between half of the mean and one
// and a half times the mean, by the seed; nothing else in these tests is random.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newHost returns the controller of a simulated host with a clock that the test sets.
func newHost(behaviour simulated.Behaviour, now time.Time) (*controller, *clocktesting.FakeClock) {
	fake := clocktesting.NewFakeClock(now)
	runtime := simulated.New(simulated.Options{HostName: "sim-1", Seed: 7, HostNumber: 1, Clock: fake, Behaviour: behaviour})
	a := newAgent(nil, runtime, Options{
		HostName: "sim-1", RestartBackOff: runtime.RestartBackOff,
		Addresses: []v1alpha1.HostAddress{{Type: v1alpha1.HostInternalIP, Address: "100.64.0.1"}},
	})
	a.clock = fake
	return newController(a), fake
}

// syncAt synchronizes an instance at a time and stores the status in it.
func syncAt(t *testing.T, c *controller, fake *clocktesting.FakeClock, instance *v1alpha1.Instance, now time.Time) (*instanceState, *outcome) {
	t.Helper()
	fake.SetTime(now)
	s, o, err := c.runInstance(t.Context(), keyOf(instance), instance)
	if err != nil {
		t.Fatal(err)
	}
	if !s.foreign {
		instance.Status = s.status(instance, o.sandbox, c.hostIP, now)
	}
	return s, o
}

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

// step is a point of time with the changes of the instance, and the status to report.
type step struct {
	second   int
	change   func(*v1alpha1.Instance)
	restart  bool // of the agent and its runtime, which lose their state
	phase    v1alpha1.InstancePhase
	ready    bool
	restarts int32
	reason   string // of the instance, or of a waiting or terminated container
	stopped  bool
}

func TestWhatHappensToAnInstance(t *testing.T) {
	const pending, runs, failed, succeeded = v1alpha1.InstancePending, v1alpha1.InstanceRunning, v1alpha1.InstanceFailed, v1alpha1.InstanceSucceeded
	calm := simulated.Behaviour{StartDelay: 10 * time.Second, StopDelay: 4 * time.Second, BadImages: []string{":bad"}}
	failing := simulated.Behaviour{StartDelay: time.Second, FailureRate: 1, FailureAfter: 20 * time.Second}
	jobs := simulated.Behaviour{RunTime: 30 * time.Second}
	image := func(name string) func(*v1alpha1.Instance) {
		return func(i *v1alpha1.Instance) { i.Spec.Containers[0].Image = name }
	}
	for _, tc := range []struct {
		name      string
		behaviour simulated.Behaviour
		instance  *v1alpha1.Instance
		steps     []step
	}{
		{"it starts after a while, and runs on", calm, newInstance(), []step{
			{second: 0, phase: pending, reason: "ContainerCreating"},
			{second: 4, phase: pending, reason: "ContainerCreating"},
			{second: 16, phase: runs, ready: true},
			{second: 9999, phase: runs, ready: true},
		}},
		{"without a delay it runs at once", simulated.Behaviour{}, newInstance(), []step{{second: 0, phase: runs, ready: true}}},
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
		{"a restarted host continues from its state", failing, newInstance(), []step{
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
			var c *controller
			var fake *clocktesting.FakeClock
			for _, at := range tc.steps {
				now := start.Add(time.Duration(at.second) * time.Second)
				if at.change != nil {
					at.change(instance)
				}
				if c == nil || at.restart {
					c, fake = newHost(tc.behaviour, now)
				}
				s, o := syncAt(t, c, fake, instance, now)
				if !o.next.IsZero() && !o.next.After(now) {
					t.Errorf("at %d: decides again at %v, which is not later", at.second, o.next)
				}
				if o.stopped != at.stopped {
					t.Errorf("at %d: stopped is %v", at.second, o.stopped)
				}
				check(t, at, instance)
				// Without a change the status is stable, or the agent would write forever.
				if again := s.status(instance, o.sandbox, "100.64.0.1", now.Add(time.Hour)); !apiequality.Semantic.DeepEqual(again, instance.Status) {
					t.Errorf("at %d: reported again, the status differs:\n%+v\n%+v", at.second, instance.Status, again)
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

func TestAnInstanceThatWasEvictedIsStoppedAndNotReportedOn(t *testing.T) {
	instance := newInstance()
	c, fake := newHost(simulated.Behaviour{StopDelay: 4 * time.Second}, start)
	syncAt(t, c, fake, instance, start)
	instance.Status.Phase, instance.Status.Reason = v1alpha1.InstanceFailed, "Evicted"
	for _, at := range []struct {
		second int
		exists bool
	}{{1, true}, {9, false}, {10, false}} {
		s, o := syncAt(t, c, fake, instance, start.Add(time.Duration(at.second)*time.Second))
		if sandbox, err := c.runtime.Sandbox(t.Context(), instance.UID); !s.foreign || o.stopped || (sandbox != nil) != at.exists || err != nil {
			t.Errorf("at %d: foreign %v, stopped %v, sandbox %+v, %v", at.second, s.foreign, o.stopped, sandbox, err)
		}
	}
	deletedAt(11, 30)(instance)
	if _, o := syncAt(t, c, fake, instance, start.Add(11*time.Second)); !o.stopped {
		t.Error("it is not deleted")
	}
}

func TestOneContainerThatIsNotReadyMakesTheInstanceNotReady(t *testing.T) {
	instance := newInstance(func(i *v1alpha1.Instance) {
		i.Spec.Containers = append(i.Spec.Containers, v1alpha1.Container{Name: "log", Image: "broken:1"})
	})
	c, fake := newHost(simulated.Behaviour{BadImages: []string{"broken"}}, start)
	syncAt(t, c, fake, instance, start)
	status := instance.Status
	ready := apimeta.FindStatusCondition(status.Conditions, v1alpha1.InstanceConditionReady)
	if status.Phase != v1alpha1.InstancePending || !status.ContainerStatuses[0].Ready || ready.Status != metav1.ConditionFalse || !strings.HasSuffix(ready.Message, ": log") {
		t.Errorf("%+v", status)
	}
}

func TestTheSandboxOfAnInstanceThatIsGoneIsRemoved(t *testing.T) {
	instance := newInstance()
	c, fake := newHost(simulated.Behaviour{}, start)
	syncAt(t, c, fake, instance, start)
	sandboxes := func() int {
		uids, err := c.runtime.Sandboxes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(uids)
	}
	c.removeOrphans(t.Context())
	if got := sandboxes(); got != 1 {
		t.Errorf("before the instances are known, %d sandboxes are left", got)
	}
	if err := c.mirror.Replace(nil, ""); err != nil {
		t.Fatal(err)
	}
	c.removeOrphans(t.Context())
	if got := sandboxes(); got != 0 {
		t.Errorf("once the instances are known, %d sandboxes are left", got)
	}
}
