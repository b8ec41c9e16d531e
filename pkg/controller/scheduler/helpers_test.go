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
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// resources parses pairs: cpu, 500m, memory, 1Gi.
func resources(pairs ...string) v1alpha1.ResourceList {
	list := v1alpha1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[v1alpha1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

// readyHost returns a host with four cores, 8Gi and ten slots, unless it is changed.
func readyHost(name string, change ...func(*v1alpha1.Host)) *v1alpha1.Host {
	host := &v1alpha1.Host{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: v1alpha1.HostStatus{
			Allocatable: resources("cpu", "4", "memory", "8Gi", "instances", "10"),
			Conditions:  []metav1.Condition{{Type: v1alpha1.HostConditionReady, Status: metav1.ConditionTrue}},
		},
	}
	for _, f := range change {
		f(host)
	}
	return host
}

func withAllocatable(pairs ...string) func(*v1alpha1.Host) {
	return func(h *v1alpha1.Host) { h.Status.Allocatable = resources(pairs...) }
}

func withTaint(key string, effect v1alpha1.TaintEffect) func(*v1alpha1.Host) {
	return func(h *v1alpha1.Host) {
		h.Spec.Taints = append(h.Spec.Taints, v1alpha1.Taint{Key: key, Effect: effect})
	}
}

func withLabel(key, value string) func(*v1alpha1.Host) {
	return func(h *v1alpha1.Host) { metav1.SetMetaDataLabel(&h.ObjectMeta, key, value) }
}

func withReady(status metav1.ConditionStatus) func(*v1alpha1.Host) {
	return func(h *v1alpha1.Host) { h.Status.Conditions[0].Status = status }
}

// newInstance returns an instance that requests one core and 1Gi, unless it is changed.
func newInstance(name string, change ...func(*v1alpha1.Instance)) *v1alpha1.Instance {
	instance := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{
			Name: "web", Resources: v1alpha1.ResourceRequirements{Requests: resources("cpu", "1", "memory", "1Gi")},
		}}},
	}
	for _, f := range change {
		f(instance)
	}
	return instance
}

func asking(pairs ...string) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) { i.Spec.Containers[0].Resources.Requests = resources(pairs...) }
}

func ownedBy(uid string) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) {
		i.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(uid), Controller: ptr.To(true)}}
	}
}

func boundTo(host string) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) { i.Spec.HostName = host }
}

func selecting(key, value string) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) { i.Spec.HostSelector = map[string]string{key: value} }
}

func tolerating(key string) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) {
		i.Spec.Tolerations = append(i.Spec.Tolerations, v1alpha1.Toleration{Key: key, Operator: v1alpha1.TolerationOpExists})
	}
}

func withPort(number int32) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].Ports = append(i.Spec.Containers[0].Ports, v1alpha1.ContainerPort{ContainerPort: number, HostPort: number})
	}
}

func ended(phase v1alpha1.InstancePhase) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) { i.Status.Phase = phase }
}

func beingDeleted(i *v1alpha1.Instance) { i.DeletionTimestamp = ptr.To(metav1.NewTime(start)) }

// stateWith returns a state with hosts and instances.
func stateWith(hosts []*v1alpha1.Host, instances ...*v1alpha1.Instance) *state {
	s := newState()
	for _, host := range hosts {
		s.setHost(host, start)
	}
	for _, instance := range instances {
		s.setInstance(instance, start)
	}
	return s
}

// drain returns all decisions that are possible now, as lines.
func drain(s *state, now time.Time) []string {
	lines := []string{}
	for {
		d, _ := s.next(now)
		switch {
		case d == nil:
			return lines
		case d.confirm:
			lines = append(lines, "confirm "+d.instance.Name)
		case d.host != "":
			lines = append(lines, fmt.Sprintf("bind %s %s", d.instance.Name, d.host))
		default:
			lines = append(lines, fmt.Sprintf("report %s %s", d.instance.Name, d.message))
		}
	}
}
