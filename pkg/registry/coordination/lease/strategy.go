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
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/coordination/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for all writes.
type strategy struct{ base.Strategy }

// PrepareForCreate drops what belongs to coordinated leader election, an alpha feature that a
// kube-apiserver has switched off and drops, too.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	dropCoordinated(obj.(*coordinationv1.Lease))
}

// PrepareForUpdate does the same.
func (strategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	dropCoordinated(obj.(*coordinationv1.Lease))
}

func dropCoordinated(lease *coordinationv1.Lease) {
	lease.Spec.Strategy = nil
	lease.Spec.PreferredHolder = nil
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateLease(obj.(*coordinationv1.Lease))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLeaseUpdate(obj.(*coordinationv1.Lease), old.(*coordinationv1.Lease))
}
