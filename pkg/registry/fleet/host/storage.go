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

package host

import (
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of hosts.
type Storage struct {
	Host   *base.Store
	Status *base.StatusREST
}

// NewStorage builds the storage of hosts and of their status.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	strategy := base.NewSpecStatusStrategy(base.NewStrategy(scheme, false), rules{})
	store, err := base.NewStore(base.Resource{
		Resource:   fleet.Resource("hosts"),
		Singular:   fleet.Resource("host"),
		ShortNames: []string{"ho"},
		Categories: []string{"fleet"},
		Versions:   scheme.PrioritizedVersionsForGroup(fleet.GroupName),
		New:        func() runtime.Object { return &fleet.Host{} },
		NewList:    func() runtime.Object { return &fleet.HostList{} },
		Strategy:   strategy,
		Table: base.Table(
			base.NameColumn[*fleet.Host](),
			base.Column[*fleet.Host]{Name: "Status", Description: "Ready, NotReady or Unknown; SchedulingDisabled if the host is unschedulable.", Value: statusCell},
			base.AgeColumn[*fleet.Host](),
			base.Column[*fleet.Host]{Name: "Version", Description: "Version of the host's agent.", Value: func(h *fleet.Host) any { return h.Status.Info.AgentVersion }},
			base.Column[*fleet.Host]{Name: "Address", Wide: true, Description: "Address of the host: the internal IP address if there is one.", Value: addressCell},
			base.Column[*fleet.Host]{Name: "OS", Wide: true, Description: "Operating system.", Value: func(h *fleet.Host) any { return h.Status.Info.OperatingSystem }},
			base.Column[*fleet.Host]{Name: "Arch", Wide: true, Description: "Processor architecture.", Value: func(h *fleet.Host) any { return h.Status.Info.Architecture }},
			base.Column[*fleet.Host]{Name: "Runtime", Wide: true, Description: "Name and version of the container runtime.", Value: func(h *fleet.Host) any { return h.Status.Info.RuntimeVersion }},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{Host: store, Status: store.NewStatusREST(strategy.ForStatus())}, nil
}

// statusCell returns the status as for nodes. A host that has not reported is Unknown.
func statusCell(host *fleet.Host) any {
	status := "Unknown"
	if ready := apimeta.FindStatusCondition(host.Status.Conditions, fleet.HostConditionReady); ready != nil {
		switch ready.Status {
		case metav1.ConditionTrue:
			status = "Ready"
		case metav1.ConditionFalse:
			status = "NotReady"
		}
	}
	if host.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// addressCell returns the address in the host's own network if there is one.
func addressCell(host *fleet.Host) any {
	for _, kind := range []fleet.HostAddressType{fleet.HostInternalIP, fleet.HostExternalIP, fleet.HostHostname} {
		if i := slices.IndexFunc(host.Status.Addresses, func(a fleet.HostAddress) bool { return a.Type == kind }); i >= 0 {
			return host.Status.Addresses[i].Address
		}
	}
	return "<none>"
}
