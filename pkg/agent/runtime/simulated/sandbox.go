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

package simulated

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// sandbox is the simulated sandbox of one instance.
type sandbox struct {
	// key is namespace/name of the instance, on which all random outcomes depend.
	key    string
	policy v1alpha1.RestartPolicy
	ip     string
	// stopping is the time of the first StopSandbox, killed the end of its grace period; zero before.
	stopping, killed time.Time
	containers       []container
	// due is the time of the next change; zero for never.
	due time.Time
}

// container is the newest attempt of a container.
type container struct {
	name, image string
	attempt     int32
	state       runtime.ContainerState
	// since is the beginning of the state.
	since time.Time
	// end is the end of this attempt, previous that of the attempt before it; nil if they have not ended.
	end, previous *end
}

type end struct {
	code              int32
	reason            string
	started, finished time.Time
}

// container returns the container of the name; nil if it was never started.
func (s *sandbox) container(name string) *container {
	for i := range s.containers {
		if s.containers[i].name == name {
			return &s.containers[i]
		}
	}
	return nil
}

// exit ends a running container. One that has not started counts as started now.
func (c *container) exit(now time.Time, code int32, reason string) {
	switch c.state {
	case runtime.ContainerExited:
		return
	case runtime.ContainerCreated:
		c.since = now
	}
	c.end = &end{code: code, reason: reason, started: c.since, finished: now}
	c.state, c.since = runtime.ContainerExited, now
}

// evaluate updates a sandbox to its state at a time and sets the time of the next change. It is
// called with the lock held.
func (r *Runtime) evaluate(s *sandbox, now time.Time) {
	s.due = time.Time{}
	if s.stopping.IsZero() {
		for i := range s.containers {
			s.due = earlier(s.due, r.evaluateContainer(s, &s.containers[i], now))
		}
	} else {
		s.due = r.evaluateStop(s, now)
	}
	r.arm()
}

// evaluateStop ends the containers after the stop delay or when the grace period is over.
func (r *Runtime) evaluateStop(s *sandbox, now time.Time) (due time.Time) {
	due, code, reason := s.stopping.Add(r.dice.around(r.behaviour.StopDelay, s.key, "stop")), int32(0), reasonCompleted
	if s.killed.Before(due) {
		due, code, reason = s.killed, exitKilled, reasonError
	}
	if now.Before(due) {
		return due
	}
	for i := range s.containers {
		s.containers[i].exit(now, code, reason)
	}
	return time.Time{}
}

// evaluateContainer returns the time of the next change of a container; zero for never.
func (r *Runtime) evaluateContainer(s *sandbox, c *container, now time.Time) time.Time {
	attempt := strconv.Itoa(int(c.attempt))
	if c.state == runtime.ContainerCreated {
		if due := c.since.Add(r.startDelay(s, c)); now.Before(due) {
			return due
		}
		c.state, c.since = runtime.ContainerRunning, now
	}
	if c.state != runtime.ContainerRunning {
		return time.Time{}
	}
	b := &r.behaviour
	code, reason, due := int32(0), reasonCompleted, time.Time{}
	if s.policy != v1alpha1.RestartPolicyAlways && b.RunTime > 0 {
		due = c.since.Add(b.RunTime)
	}
	if r.dice.throw(s.key, c.name, attempt, "fails") < b.FailureRate {
		failure := c.since.Add(r.dice.around(b.FailureAfter, s.key, c.name, attempt, "when"))
		if due.IsZero() || failure.Before(due) {
			code, reason, due = exitError, reasonError, failure
		}
	}
	if due.IsZero() || now.Before(due) {
		return due
	}
	c.exit(now, code, reason)
	return time.Time{}
}

func (r *Runtime) startDelay(s *sandbox, c *container) time.Duration {
	if c.previous != nil && c.previous.code != 0 {
		return 0
	}
	return r.dice.around(r.behaviour.StartDelay, s.key, c.name, strconv.Itoa(int(c.attempt)), "start")
}

// RestartBackOff returns the delay from the end of a container to its next attempt: for a
// failed container the start delay, doubled with each restart, up to a limit.
func (r *Runtime) RestartBackOff(key string, exited *runtime.Container) time.Duration {
	if exited.ExitCode == 0 {
		return 0
	}
	restarts := exited.Attempt + 1
	delay := r.dice.around(r.behaviour.StartDelay, key, exited.Name, strconv.Itoa(int(restarts)), "start")
	return min(delay<<min(restarts, maxDoublings), longestBackOff)
}

// report describes a sandbox, with the previous attempt of each container.
func (s *sandbox) report(uid types.UID) *runtime.Sandbox {
	out := &runtime.Sandbox{IP: s.ip, Stopping: !s.stopping.IsZero()}
	for i := range s.containers {
		c := &s.containers[i]
		if c.previous != nil {
			previous := runtime.Container{Name: c.name, Attempt: c.attempt - 1, ID: containerID(uid, c.name, c.attempt-1), State: runtime.ContainerExited}
			c.previous.report(&previous)
			out.Containers = append(out.Containers, previous)
		}
		current := runtime.Container{
			Name: c.name, Attempt: c.attempt, ID: containerID(uid, c.name, c.attempt), State: c.state,
			Image: c.image, ImageID: fmt.Sprintf("simulated://%016x", sum(c.image)),
		}
		switch c.state {
		case runtime.ContainerRunning:
			current.StartedAt = c.since
		case runtime.ContainerExited:
			c.end.report(&current)
		}
		out.Containers = append(out.Containers, current)
	}
	return out
}

func (e *end) report(c *runtime.Container) {
	c.StartedAt, c.FinishedAt, c.ExitCode, c.Reason = e.started, e.finished, e.code, e.reason
}

// containerID returns an ID that differs for each attempt.
func containerID(uid types.UID, name string, attempt int32) string {
	return fmt.Sprintf("simulated://%016x", sum(fmt.Sprintf("%s/%s/%d", uid, name, attempt)))
}

// Adopt implements runtime.Adopter: the sandbox continues from the reported status.
func (r *Runtime) Adopt(_ context.Context, instance *v1alpha1.Instance) error {
	if len(instance.Status.ContainerStatuses) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sandboxes[instance.UID] != nil {
		return nil
	}
	s := r.add(instance, instance.Status.InstanceIP)
	for i := range instance.Status.ContainerStatuses {
		if c := adopted(&instance.Status.ContainerStatuses[i]); c != nil {
			s.containers = append(s.containers, *c)
		}
	}
	return nil
}

// adopted restores a container; nil if it has never started.
func adopted(status *v1alpha1.ContainerStatus) *container {
	c := &container{name: status.Name, image: status.Image, attempt: status.RestartCount, state: runtime.ContainerExited}
	last := endOf(status.LastState.Terminated)
	switch state := status.State; {
	case state.Running != nil:
		c.state, c.since, c.previous = runtime.ContainerRunning, state.Running.StartedAt.Time, last
	case state.Terminated != nil:
		c.since, c.end = state.Terminated.FinishedAt.Time, endOf(state.Terminated)
	case last == nil:
		return nil
	default: // waiting for its next attempt
		c.attempt, c.since, c.end = status.RestartCount-1, last.finished, last
		if last.code == 0 {
			c.image = "" // it was stopped for another image
		}
	}
	return c
}

func endOf(state *v1alpha1.ContainerStateTerminated) *end {
	if state == nil {
		return nil
	}
	return &end{code: state.ExitCode, reason: state.Reason, started: state.StartedAt.Time, finished: state.FinishedAt.Time}
}

// instanceIP returns an address in the host's part of 10.0.0.0/8; number is the number of the host,
// beginning with 1.
func instanceIP(number, slot int) string {
	number--
	return fmt.Sprintf("10.%d.%d.%d", number/256, number%256, slot+1)
}
