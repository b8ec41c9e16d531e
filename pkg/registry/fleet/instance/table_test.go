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

package instance

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func containers(statuses ...fleet.ContainerStatus) *fleet.Instance {
	return &fleet.Instance{
		Spec:   fleet.InstanceSpec{Containers: make([]fleet.Container, 2)},
		Status: fleet.InstanceStatus{Phase: fleet.InstanceRunning, ContainerStatuses: statuses},
	}
}

func TestTheReadyCellCountsReadyContainers(t *testing.T) {
	for _, test := range []struct {
		name     string
		instance *fleet.Instance
		want     string
	}{
		{"nothing was reported yet", containers(), "0/2"},
		{"one of two is ready", containers(fleet.ContainerStatus{Ready: true}, fleet.ContainerStatus{}), "1/2"},
		{"both are ready", containers(fleet.ContainerStatus{Ready: true}, fleet.ContainerStatus{Ready: true}), "2/2"},
		{"no container is declared", &fleet.Instance{}, "0/0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := readyCell(test.instance); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheRestartsCellAddsUpAllContainers(t *testing.T) {
	if got := restartsCell(containers()); got != int64(0) {
		t.Errorf("got %v without any status", got)
	}
	most := int32(1<<31 - 1)
	if got := restartsCell(containers(fleet.ContainerStatus{RestartCount: most}, fleet.ContainerStatus{RestartCount: most})); got != int64(2)*int64(most) {
		t.Errorf("got %v: the sum does not fit", got)
	}
}

func TestTheStatusOfAnInstanceReadsAsThatOfAPod(t *testing.T) {
	waiting := func(reason string) fleet.ContainerStatus {
		return fleet.ContainerStatus{State: fleet.ContainerState{Waiting: &fleet.ContainerStateWaiting{Reason: reason}}}
	}
	terminated := func(code int32, reason string) fleet.ContainerStatus {
		return fleet.ContainerStatus{State: fleet.ContainerState{Terminated: &fleet.ContainerStateTerminated{ExitCode: code, Reason: reason}}}
	}
	running := fleet.ContainerStatus{State: fleet.ContainerState{Running: &fleet.ContainerStateRunning{}}}
	with := func(instance *fleet.Instance, change func(*fleet.Instance)) *fleet.Instance {
		change(instance)
		return instance
	}
	for _, test := range []struct {
		name     string
		instance *fleet.Instance
		want     string
	}{
		{"it is the phase where nothing is wrong", containers(running, running), "Running"},
		{"a new instance is Pending", &fleet.Instance{Status: fleet.InstanceStatus{Phase: fleet.InstancePending}}, "Pending"},
		{"a container that waits shows the reason", containers(running, waiting("ImagePullBackOff")), "ImagePullBackOff"},
		{"the first container with a reason is shown", containers(waiting("ContainerCreating"), waiting("ImagePullBackOff")), "ContainerCreating"},
		{"a container that waits without a reason shows nothing", containers(waiting("")), "Running"},
		{"a container that failed shows the reason", containers(terminated(1, "OOMKilled")), "OOMKilled"},
		{"a container that succeeded shows nothing", containers(terminated(0, "Completed")), "Running"},
		{"the instance's own reason comes first", with(containers(waiting("ImagePullBackOff")), func(i *fleet.Instance) { i.Status.Reason = "Evicted" }), "Evicted"},
		{"an instance that is being deleted is Terminating, whatever else", with(containers(waiting("ImagePullBackOff")), func(i *fleet.Instance) {
			now := metav1.Now()
			i.DeletionTimestamp, i.Status.Reason = &now, "Evicted"
		}), "Terminating"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := statusCell(test.instance); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnEmptyCellIsNone(t *testing.T) {
	if got := orNone(""); got != "<none>" {
		t.Errorf("got %q", got)
	}
	if got := orNone("edge-1"); got != "edge-1" {
		t.Errorf("got %q", got)
	}
}
