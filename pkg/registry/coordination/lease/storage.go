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

package lease

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/coordination"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of leases.
type Storage struct{ Lease *base.Store }

// NewStorage builds the storage of leases.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource: coordination.Resource("leases"),
		Singular: coordination.Resource("lease"),
		Versions: []schema.GroupVersion{coordinationv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &coordinationv1.Lease{} },
		NewList:  func() runtime.Object { return &coordinationv1.LeaseList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, true, base.CreateByPut)},
		Table: base.Table(
			base.NameColumn[*coordinationv1.Lease](),
			base.Column[*coordinationv1.Lease]{Name: "Holder", Description: "Identity of the holder of the lease.", Value: holder},
			base.AgeColumn[*coordinationv1.Lease](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}

func holder(lease *coordinationv1.Lease) any {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
