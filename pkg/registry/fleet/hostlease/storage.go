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

package hostlease

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of host leases.
type Storage struct{ HostLease *base.Store }

// NewStorage builds the storage of host leases.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   fleet.Resource("hostleases"),
		Singular:   fleet.Resource("hostlease"),
		ShortNames: []string{"hl"},
		Versions:   scheme.PrioritizedVersionsForGroup(fleet.GroupName),
		New:        func() runtime.Object { return &fleet.HostLease{} },
		NewList:    func() runtime.Object { return &fleet.HostLeaseList{} },
		Strategy:   base.NewSpecStrategy(base.NewStrategy(scheme, false), rules{}),
		Table: base.Table(
			base.NameColumn[*fleet.HostLease](),
			base.Column[*fleet.HostLease]{Name: "Holder", Description: "Identity of the holder of the lease.", Value: func(l *fleet.HostLease) any { return l.Spec.HolderIdentity }},
			base.Column[*fleet.HostLease]{Name: "Renewed", Description: "Time since the lease was renewed, according to the clock of the host.", Value: renewedCell},
			base.AgeColumn[*fleet.HostLease](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}

func renewedCell(lease *fleet.HostLease) any {
	if lease.Spec.RenewTime == nil {
		return "<never>"
	}
	return base.Ago(metav1.NewTime(lease.Spec.RenewTime.Time))
}
