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
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy decides on writes to host leases.
type strategy struct{ base.Strategy }

// GetResetFields is empty: a lease has no fields that a write leaves as they are.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{}
}

// PrepareForCreate starts to count.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*fleet.HostLease).Generation = 1
}

// PrepareForUpdate counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	lease, oldLease := obj.(*fleet.HostLease), old.(*fleet.HostLease)
	if !apiequality.Semantic.DeepEqual(lease.Spec, oldLease.Spec) {
		lease.Generation = oldLease.Generation + 1
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateHostLease(obj.(*fleet.HostLease))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateHostLeaseUpdate(obj.(*fleet.HostLease), old.(*fleet.HostLease))
}
