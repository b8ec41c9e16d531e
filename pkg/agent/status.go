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
	"errors"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// Reasons in the status of instances and containers, as a kubelet reports them.
const (
	reasonCreating    = "ContainerCreating"
	reasonPullBackOff = "ImagePullBackOff"
	reasonBackOff     = "CrashLoopBackOff"
	reasonDeadline    = "DeadlineExceeded"
	reasonNeverRan    = "NeverStarted"
	reasonUnknown     = "Unknown"
)

// exitUnknown is the exit code of a container whose end the runtime has missed.
const exitUnknown = 255

// status returns the status of an instance according to its sandbox, which is nil if there is none.
// It keeps what others have set: conditions that are not the agent's, and the transition times of
// unchanged conditions.
func (s *instanceState) status(instance *v1alpha1.Instance, sandbox *runtime.Sandbox, hostIP string, now time.Time) v1alpha1.InstanceStatus {
	if sandbox == nil {
		sandbox = &runtime.Sandbox{IP: instance.Status.InstanceIP}
	}
	status := instance.Status.DeepCopy()
	accepted := seconds(s.accepted)
	status.ObservedGeneration = instance.Generation
	status.HostIP, status.InstanceIP, status.StartTime = hostIP, sandbox.IP, &accepted
	if instance.Spec.HostNetwork {
		status.InstanceIP = hostIP
	}
	status.ContainerStatuses = nil
	var unready []string
	for i := range instance.Spec.Containers {
		c := s.containerStatus(instance, &instance.Spec.Containers[i], sandbox)
		status.ContainerStatuses = append(status.ContainerStatuses, c)
		if !c.Ready {
			unready = append(unready, s.describe(c.Name))
		}
	}
	status.Phase, status.Reason, status.Message = phaseOf(status.ContainerStatuses), "", ""
	if s.expired {
		status.Phase, status.Reason = v1alpha1.InstanceFailed, reasonDeadline
		status.Message = "the instance was active on its host for longer than activeDeadlineSeconds"
	}
	for _, kind := range []string{v1alpha1.InstanceConditionContainersReady, v1alpha1.InstanceConditionReady} {
		condition := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "ContainersReady", ObservedGeneration: instance.Generation, LastTransitionTime: seconds(now)}
		if len(unready) > 0 {
			condition.Status, condition.Reason = metav1.ConditionFalse, "ContainersNotReady"
			condition.Message = "containers that are not ready: " + strings.Join(unready, ", ")
		}
		if helper.IsTerminalPhase(status.Phase) {
			condition.Reason = "Instance" + string(status.Phase)
		}
		apimeta.SetStatusCondition(&status.Conditions, condition)
	}
	return *status
}

// describe returns the name of a container that is not ready, with the reason if a probe has given one.
func (s *instanceState) describe(name string) string {
	if health := s.containers[name].health; health != nil && health.Message != "" {
		return name + " (" + health.Message + ")"
	}
	return name
}

// phaseOf summarizes the containers, as the API describes the phases.
func phaseOf(containers []v1alpha1.ContainerStatus) v1alpha1.InstancePhase {
	phase, ended := v1alpha1.InstanceSucceeded, true
	for i := range containers {
		switch c := &containers[i]; {
		case c.State.Terminated != nil:
			if c.State.Terminated.ExitCode != 0 {
				phase = v1alpha1.InstanceFailed
			}
		case c.State.Running == nil && c.LastState.Terminated == nil:
			// It waits and never ran; a container that ran is being restarted.
			return v1alpha1.InstancePending
		default:
			ended = false
		}
	}
	if ended {
		return phase
	}
	return v1alpha1.InstanceRunning
}

func (s *instanceState) containerStatus(instance *v1alpha1.Instance, spec *v1alpha1.Container, sandbox *runtime.Sandbox) v1alpha1.ContainerStatus {
	newest, previous := sandbox.Newest(spec.Name)
	status := v1alpha1.ContainerStatus{Name: spec.Name, Image: spec.Image}
	waiting := func() {
		reason, message := s.whyWaiting(spec.Name, newest)
		status.State.Waiting = &v1alpha1.ContainerStateWaiting{Reason: reason, Message: message}
	}
	if newest == nil {
		if s.expired || instance.DeletionTimestamp != nil && sandbox.Exited() {
			status.State.Terminated = s.neverRan()
		} else {
			waiting()
		}
		return status
	}
	status.RestartCount = newest.Attempt
	switch newest.State {
	case runtime.ContainerCreated:
		waiting()
		status.LastState.Terminated = s.terminated(previous)
		return status
	case runtime.ContainerRunning:
		status.Ready, status.Started = true, true
		if health := s.containers[spec.Name].health; health != nil {
			status.Ready, status.Started = health.Ready, health.Started
		}
		status.State.Running = &v1alpha1.ContainerStateRunning{StartedAt: seconds(newest.StartedAt)}
		status.LastState.Terminated = s.terminated(previous)
	case runtime.ContainerExited:
		if s.restarts(instance, newest) {
			// It counts as restarted from now on, before its backoff is over.
			status.RestartCount++
			waiting()
			status.LastState.Terminated = s.terminated(newest)
			return status
		}
		status.State.Terminated = s.terminated(newest)
	}
	status.Image, status.ContainerID, status.ImageID = newest.Image, newest.ID, newest.ImageID
	return status
}

// whyWaiting returns the reason and the message of a container that does not run yet.
func (s *instanceState) whyWaiting(name string, newest *runtime.Container) (reason, message string) {
	c := s.containers[name]
	switch {
	case c.waiting != nil:
		if waiting := (*runtime.WaitingError)(nil); errors.As(c.waiting, &waiting) {
			return waiting.Reason, waiting.Error()
		}
		return reasonPullBackOff, c.waiting.Error()
	case newest != nil && newest.State == runtime.ContainerExited && (newest.ExitCode != 0 || newest.Failures > 0) && !c.replaced:
		return reasonBackOff, "back-off before the failed container is restarted"
	}
	return reasonCreating, ""
}

func (s *instanceState) terminated(c *runtime.Container) *v1alpha1.ContainerStateTerminated {
	if c == nil {
		return nil
	}
	state := &v1alpha1.ContainerStateTerminated{
		ExitCode: c.ExitCode, Reason: c.Reason, Message: c.Message,
		StartedAt: seconds(c.StartedAt), FinishedAt: seconds(c.FinishedAt), ContainerID: c.ID,
	}
	if own := s.containers[c.Name]; own != nil && own.stopped == c.ID && own.unhealthy != "" {
		state.Message = own.unhealthy
	}
	if !s.expiredAt.IsZero() && !c.FinishedAt.Before(s.expiredAt) {
		state.Reason = reasonDeadline
	}
	return state
}

// neverRan is the end of a container that the agent has never started. Like that of a container
// that a kubelet lost, its exit code is 137.
func (s *instanceState) neverRan() *v1alpha1.ContainerStateTerminated {
	return &v1alpha1.ContainerStateTerminated{ExitCode: 137, Reason: reasonNeverRan}
}
