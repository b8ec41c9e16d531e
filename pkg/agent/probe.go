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
	"cmp"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/prober"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// probe gives the running containers of an instance to the prober, and the results to the state, from
// which decisions and status are made.
func (c *controller) probe(s *instanceState, instance *v1alpha1.Instance, sandbox *runtime.Sandbox) {
	for i := range instance.Spec.Containers {
		s.containers[instance.Spec.Containers[i].Name].health = nil
	}
	if c.prober == nil {
		return
	}
	var targets []prober.Target
	for i := range instance.Spec.Containers {
		spec := &instance.Spec.Containers[i]
		if !prober.Probes(spec) || sandbox == nil {
			continue
		}
		newest, _ := sandbox.Newest(spec.Name)
		if newest == nil || newest.State != runtime.ContainerRunning {
			continue
		}
		ip := sandbox.IP
		if instance.Spec.HostNetwork {
			ip = cmp.Or(c.hostIP, "127.0.0.1")
		}
		targets = append(targets, prober.Target{
			UID: instance.UID, Spec: spec, ID: newest.ID, IP: ip, StartedAt: newest.StartedAt, Before: reported(instance, newest),
		})
	}
	c.prober.Watch(instance.UID, targets)
	for i := range targets {
		if result, ok := c.prober.Result(instance.UID, targets[i].Spec.Name, targets[i].ID); ok {
			s.containers[targets[i].Spec.Name].health = &result
		}
	}
}

// reported returns the health of an attempt in the status, which an earlier process of the agent may
// have written: a restart of the agent makes no container unready.
func reported(instance *v1alpha1.Instance, newest *runtime.Container) prober.Result {
	for i := range instance.Status.ContainerStatuses {
		if status := &instance.Status.ContainerStatuses[i]; status.ContainerID == newest.ID && newest.ID != "" {
			return prober.Result{Started: status.Started, Ready: status.Ready}
		}
	}
	return prober.Result{}
}
