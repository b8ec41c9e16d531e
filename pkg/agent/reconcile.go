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
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/prober"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// defaultGrace is the grace period of instances that do not specify one, in seconds.
const defaultGrace = 30

// instanceState is the agent's state of an instance; the runtime has the rest.
type instanceState struct {
	uid types.UID
	// accepted is the time at which the agent first received the instance.
	accepted time.Time
	// expired is set once the instance has used up its activeDeadlineSeconds, and expiredAt is the time at
	// which this process of the agent observed that.
	expired   bool
	expiredAt time.Time
	// foreign is set if the status has a terminal phase that the agent did not report, such as that
	// of an eviction: the agent stops reporting on the instance.
	foreign bool
	// deleted is set once the agent has deleted the instance: later watch events are outdated.
	deleted bool
	// cut is set while the instance must not run because the server does not answer, and cutNext is when
	// that may change; see contact.cutOff.
	cut     bool
	cutNext time.Time
	// killed is the end of the grace period of the last stop of the sandbox; zero before.
	killed     time.Time
	containers map[string]*containerState
}

// containerState is the agent's state of a container.
type containerState struct {
	// image is the specified image, and since is the time at which it was specified or first observed.
	image string
	since time.Time
	// replaced is set while the container is stopped because its image was changed.
	replaced bool
	// waiting is the error of the last pull of the image, or of the last try to start the container.
	waiting error
	// health is the result of the probes of the running attempt; nil if it has none.
	health *prober.Result
	// unhealthy is the message of the probe that stopped the attempt with the ID stopped.
	unhealthy, stopped string
	// lost is the time at which this process of the agent missed the container in the runtime; zero
	// if it did not.
	lost time.Time
}

// accept creates the state of an instance that this process of the agent receives for the first time.
func accept(instance *v1alpha1.Instance, now time.Time) *instanceState {
	s := &instanceState{uid: instance.UID, accepted: now, containers: map[string]*containerState{}}
	if start := instance.Status.StartTime; start != nil {
		s.accepted = start.Time
	}
	s.expired = instance.Status.Phase == v1alpha1.InstanceFailed && instance.Status.Reason == reasonDeadline
	for i := range instance.Spec.Containers {
		s.containers[instance.Spec.Containers[i].Name] = &containerState{image: instance.Spec.Containers[i].Image, since: now}
	}
	return s
}

// actionKind is a method of runtime.Runtime.
type actionKind int

const (
	runSandbox actionKind = iota
	startContainer
	stopContainer
	stopSandbox
	removeSandbox
)

// action is a call of the runtime.
type action struct {
	kind actionKind
	// container and attempt are set only for containers.
	container *v1alpha1.Container
	attempt   int32
	// grace is set only for stops.
	grace time.Duration
}

// decision is the result of decide.
type decision struct {
	actions []action
	// next is the time of the next decision without a change; zero for never.
	next time.Time
	// stopped is set if the instance is being deleted and nothing of it runs.
	stopped bool
}

// decide compares an instance with its sandbox, which is nil if there is none. Apart from the state
// it depends on its arguments only.
func (s *instanceState) decide(instance *v1alpha1.Instance, sandbox *runtime.Sandbox, now time.Time, o *Options) decision {
	if instance.DeletionTimestamp != nil {
		if sandbox == nil || sandbox.Exited() {
			return decision{stopped: true}
		}
		// deletionTimestamp is the end of the grace period.
		return decision{actions: s.stop(instance.DeletionTimestamp.Time, now)}
	}
	if helper.IsInstanceTerminal(instance) && !s.expired && !s.finished(instance, sandbox) {
		s.foreign = true
	}
	if s.foreign {
		return s.abandon(instance, sandbox, now)
	}
	var d decision
	if s.expired {
		if sandbox != nil && !sandbox.Exited() {
			d.actions = s.stop(now, now)
		}
		return d
	}
	if limit := instance.Spec.ActiveDeadlineSeconds; limit != nil && !s.finished(instance, sandbox) {
		deadline := s.accepted.Add(time.Duration(*limit) * time.Second)
		if !now.Before(deadline) {
			s.expired, s.expiredAt = true, now
			return decision{actions: s.stop(now, now)}
		}
		d.next = deadline
	}
	d.next = earlier(d.next, s.cutNext)
	if s.cut {
		d.actions = stopRunning(instance, sandbox)
		return d
	}
	if sandbox == nil {
		d.actions = append(d.actions, action{kind: runSandbox})
		sandbox = &runtime.Sandbox{}
	}
	for i := range instance.Spec.Containers {
		s.decideContainer(&d, instance, &instance.Spec.Containers[i], sandbox, now, o)
	}
	return d
}

// withLost adds the containers that have run according to the status and that the runtime does not
// have any more: they have ended, and count as attempts. It is not used for a runtime whose
// sandboxes do not outlive it.
func (s *instanceState) withLost(instance *v1alpha1.Instance, sandbox *runtime.Sandbox, now time.Time) *runtime.Sandbox {
	for i := range instance.Status.ContainerStatuses {
		status := &instance.Status.ContainerStatuses[i]
		c, end := s.containers[status.Name], status.State.Terminated
		if c == nil || status.State.Running == nil && (end == nil || end.Reason == reasonNeverRan) {
			continue
		}
		if sandbox == nil {
			sandbox = &runtime.Sandbox{IP: instance.Status.InstanceIP, Failed: true}
		}
		if newest, _ := sandbox.Newest(status.Name); newest != nil {
			continue
		}
		if c.lost.IsZero() {
			c.lost = now
		}
		lost := runtime.Container{
			Name: status.Name, Attempt: status.RestartCount, ID: status.ContainerID, Image: status.Image, ImageID: status.ImageID,
			State: runtime.ContainerExited, ExitCode: exitUnknown, Reason: reasonUnknown, FinishedAt: c.lost,
			Message: "the container runtime has lost the container",
		}
		if end != nil {
			lost.ExitCode, lost.Reason, lost.Message, lost.StartedAt, lost.FinishedAt = end.ExitCode, end.Reason, end.Message, end.StartedAt.Time, end.FinishedAt.Time
		} else {
			lost.StartedAt = status.State.Running.StartedAt.Time
		}
		sandbox.Containers = append(sandbox.Containers, lost)
	}
	return sandbox
}

// stop returns the action that stops everything by a time, unless it was taken before.
func (s *instanceState) stop(until, now time.Time) []action {
	if !s.killed.IsZero() && !until.Before(s.killed) {
		return nil
	}
	s.killed = until
	return []action{{kind: stopSandbox, grace: max(0, until.Sub(now))}}
}

// abandon stops and removes the sandbox of an instance that has ended for a reason other than the
// agent's.
func (s *instanceState) abandon(instance *v1alpha1.Instance, sandbox *runtime.Sandbox, now time.Time) decision {
	switch {
	case sandbox == nil:
		return decision{}
	case sandbox.Exited():
		return decision{actions: []action{{kind: removeSandbox}}}
	case !s.killed.IsZero():
		return decision{}
	}
	return decision{actions: s.stop(now.Add(gracePeriod(instance)), now)}
}

// decideContainer starts a container that should run and does not, and stops one of another image.
func (s *instanceState) decideContainer(d *decision, instance *v1alpha1.Instance, spec *v1alpha1.Container, sandbox *runtime.Sandbox, now time.Time, o *Options) {
	c := s.containers[spec.Name]
	if c.image != spec.Image {
		c.image, c.since, c.waiting = spec.Image, now, nil
	}
	newest, _ := sandbox.Newest(spec.Name)
	start := func(attempt int32) {
		d.actions = append(d.actions, action{kind: startContainer, container: spec, attempt: attempt})
	}
	switch {
	case newest == nil:
		start(0)
	case newest.State == runtime.ContainerCreated:
		if newest.Image != spec.Image {
			start(newest.Attempt)
		}
	case newest.State == runtime.ContainerRunning:
		c.replaced = newest.Image != spec.Image
		switch {
		case c.replaced || sandbox.Failed:
			d.actions = append(d.actions, action{kind: stopContainer, container: spec, grace: gracePeriod(instance)})
		case c.health != nil && c.health.Stop:
			c.unhealthy, c.stopped = c.health.Message, newest.ID
			d.actions = append(d.actions, action{kind: stopContainer, container: spec, grace: probeGrace(instance, c.health)})
		}
	case s.restarts(instance, newest):
		if due := s.restartAt(instance, newest, o); now.Before(due) {
			d.next = earlier(d.next, due)
			return
		}
		start(newest.Attempt + 1)
	}
}

// restartAt returns the start time of the attempt after an exited container.
func (s *instanceState) restartAt(instance *v1alpha1.Instance, exited *runtime.Container, o *Options) time.Time {
	c := s.containers[exited.Name]
	if c.replaced {
		return exited.FinishedAt
	}
	from := exited.FinishedAt
	if c.since.After(from) {
		from = c.since
	}
	return from.Add(o.RestartBackOff(keyOf(instance), exited))
}

// restarts reports whether an exited container must be started again.
func (s *instanceState) restarts(instance *v1alpha1.Instance, exited *runtime.Container) bool {
	if instance.DeletionTimestamp != nil || s.expired || s.foreign {
		return false
	}
	// An adopted container without an image was stopped for another image.
	if s.containers[exited.Name].replaced || exited.Image == "" {
		return true
	}
	switch instance.Spec.RestartPolicy {
	case v1alpha1.RestartPolicyNever:
		return false
	case v1alpha1.RestartPolicyOnFailure:
		return exited.ExitCode != 0
	}
	return true
}

// finished reports whether all containers have ended and none must be started again.
func (s *instanceState) finished(instance *v1alpha1.Instance, sandbox *runtime.Sandbox) bool {
	if sandbox == nil {
		return false
	}
	for i := range instance.Spec.Containers {
		newest, _ := sandbox.Newest(instance.Spec.Containers[i].Name)
		if newest == nil || newest.State != runtime.ContainerExited || s.restarts(instance, newest) {
			return false
		}
	}
	return true
}

// probeGrace returns the grace period of a stop by a probe.
func probeGrace(instance *v1alpha1.Instance, health *prober.Result) time.Duration {
	if health.GraceSeconds != nil {
		return time.Duration(*health.GraceSeconds) * time.Second
	}
	return gracePeriod(instance)
}

func gracePeriod(instance *v1alpha1.Instance) time.Duration {
	return time.Duration(ptr.Deref(instance.Spec.TerminationGracePeriodSeconds, defaultGrace)) * time.Second
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
