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
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// accept makes the machine of an instance that the host sees for the first time, or sees again
// after the simulation was started again: then it goes on from what was last reported.
func accept(instance *v1alpha1.Instance, now time.Time) *machine {
	m := &machine{uid: instance.UID, key: instance.Namespace + "/" + instance.Name, accepted: now, address: instance.Status.InstanceIP}
	if start := instance.Status.StartTime; start != nil {
		m.accepted = start.Time
	}
	m.expired = instance.Status.Phase == v1alpha1.InstanceFailed && instance.Status.Reason == reasonDeadline
	for _, spec := range instance.Spec.Containers {
		c := container{name: spec.Name, image: spec.Image, since: now}
		i := slices.IndexFunc(instance.Status.ContainerStatuses, func(s v1alpha1.ContainerStatus) bool { return s.Name == spec.Name })
		if i >= 0 {
			c.resume(&instance.Status.ContainerStatuses[i])
		}
		m.containers = append(m.containers, c)
	}
	return m
}

// resume takes up what was reported. The image may have changed since then; follow sees to it.
func (c *container) resume(status *v1alpha1.ContainerStatus) {
	c.restarts = status.RestartCount
	if status.Image != "" {
		c.image = status.Image
	}
	c.end = endOf(status.LastState.Terminated)
	switch state := status.State; {
	case state.Running != nil:
		c.state, c.since = running, state.Running.StartedAt.Time
	case state.Terminated != nil:
		c.state, c.since, c.end = ended, state.Terminated.FinishedAt.Time, endOf(state.Terminated)
	}
}

func endOf(state *v1alpha1.ContainerStateTerminated) *end {
	if state == nil {
		return nil
	}
	return &end{code: state.ExitCode, reason: state.Reason, started: state.StartedAt.Time, finished: state.FinishedAt.Time}
}

// report is the status of the instance as its host sees it. What others have put there stays:
// conditions that are not the agent's, and times of conditions that have not changed.
func (m *machine) report(instance *v1alpha1.Instance, hostIP string, now time.Time, b *Behaviour) v1alpha1.InstanceStatus {
	status := instance.Status.DeepCopy()
	accepted := seconds(m.accepted)
	status.ObservedGeneration = instance.Generation
	status.HostIP, status.InstanceIP, status.StartTime = hostIP, m.address, &accepted
	status.Phase, status.Reason, status.Message = m.phase(), "", ""
	if m.expired {
		status.Phase, status.Reason = v1alpha1.InstanceFailed, reasonDeadline
		status.Message = "the instance was active on its host for longer than activeDeadlineSeconds"
	}
	status.ContainerStatuses = nil
	var unready []string
	for i := range m.containers {
		c := m.containers[i].report(m, b)
		status.ContainerStatuses = append(status.ContainerStatuses, c)
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	for _, kind := range []string{v1alpha1.InstanceConditionContainersReady, v1alpha1.InstanceConditionReady} {
		condition := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "ContainersReady", ObservedGeneration: instance.Generation, LastTransitionTime: seconds(now)}
		if len(unready) > 0 {
			condition.Status, condition.Reason = metav1.ConditionFalse, "ContainersNotReady"
			condition.Message = "containers that are not ready: " + strings.Join(unready, ", ")
		}
		if isOver(status.Phase) {
			condition.Reason = "Instance" + string(status.Phase)
		}
		apimeta.SetStatusCondition(&status.Conditions, condition)
	}
	return *status
}

// phase sums the containers up, as the API describes the phases.
func (m *machine) phase() v1alpha1.InstancePhase {
	if m.finished() {
		for i := range m.containers {
			if m.containers[i].end.code != 0 {
				return v1alpha1.InstanceFailed
			}
		}
		return v1alpha1.InstanceSucceeded
	}
	for i := range m.containers {
		// One that waits and never ran has not been started; one that ran restarts.
		if c := &m.containers[i]; c.state == waiting && c.end == nil {
			return v1alpha1.InstancePending
		}
	}
	return v1alpha1.InstanceRunning
}

func (c *container) report(m *machine, b *Behaviour) v1alpha1.ContainerStatus {
	status := v1alpha1.ContainerStatus{
		Name: c.name, Image: c.image, RestartCount: c.restarts,
		Ready: c.state == running, Started: c.state == running,
	}
	switch c.state {
	case waiting:
		reason, message := c.why(b.BadImages)
		status.State.Waiting = &v1alpha1.ContainerStateWaiting{Reason: reason, Message: message}
	case running:
		status.State.Running = &v1alpha1.ContainerStateRunning{StartedAt: seconds(c.since)}
	case ended:
		status.State.Terminated = c.end.report(m.id(c, c.restarts))
	}
	if c.state != waiting {
		status.ContainerID = m.id(c, c.restarts)
		status.ImageID = fmt.Sprintf("simulated://%016x", sum(c.image))
	}
	if c.state != ended && c.end != nil {
		status.LastState.Terminated = c.end.report(m.id(c, c.restarts-1))
	}
	return status
}

func (e *end) report(containerID string) *v1alpha1.ContainerStateTerminated {
	return &v1alpha1.ContainerStateTerminated{
		ExitCode: e.code, Reason: e.reason, StartedAt: seconds(e.started), FinishedAt: seconds(e.finished), ContainerID: containerID,
	}
}

// id is the container's at its runtime, another after each restart.
func (m *machine) id(c *container, restarts int32) string {
	return fmt.Sprintf("simulated://%016x", sum(fmt.Sprintf("%s/%s/%d", m.uid, c.name, restarts)))
}

func sum(text string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(text))
	return hash.Sum64()
}

// seconds is a time as it is stored, so that what is read back is equal to what was written.
func seconds(t time.Time) metav1.Time {
	return metav1.NewTime(t.Truncate(time.Second))
}
