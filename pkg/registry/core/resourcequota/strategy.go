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

package resourcequota

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for writes to metadata and spec.
type strategy struct{ base.Strategy }

// ResetFields returns the status.
func (strategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate empties the status, which the controller and admission write.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*corev1.ResourceQuota).Status = corev1.ResourceQuotaStatus{}
}

// PrepareForUpdate keeps the status.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.ResourceQuota).Status = old.(*corev1.ResourceQuota).Status
}

// WarningsOnCreate warns of limits that have no effect on this server.
func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return warnings(&obj.(*corev1.ResourceQuota).Spec)
}

// WarningsOnUpdate warns of the same.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return warnings(&obj.(*corev1.ResourceQuota).Spec)
}

// warnings names the limits that have no effect on this server. They are valid: the same quota may
// be used in a cluster.
func warnings(spec *corev1.ResourceQuotaSpec) []string {
	if quota.Scoped(spec) {
		return []string{"spec: scopes are about pods and volumes, which this server does not store, so a quota with a scope limits nothing here: leave scopes and scopeSelector out"}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(spec.Hard)) {
		if !quota.Enforced(name) {
			all = append(all, fmt.Sprintf("spec.hard[%s]: this server counts nothing by this name, so it limits nothing here; see docs/quota.md for what can be limited", name))
		}
	}
	return all
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateResourceQuota(obj.(*corev1.ResourceQuota))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateResourceQuotaUpdate(obj.(*corev1.ResourceQuota), old.(*corev1.ResourceQuota))
}

// statusStrategy is the strategy for writes to the status.
type statusStrategy struct{ strategy }

// ResetFields returns the spec.
func (statusStrategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
}

// PrepareForUpdate keeps the spec. Metadata may change with the status, as in a kube-apiserver.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.ResourceQuota).Spec = old.(*corev1.ResourceQuota).Spec
}

// WarningsOnUpdate returns no warnings.
func (statusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateResourceQuotaStatusUpdate(obj.(*corev1.ResourceQuota), old.(*corev1.ResourceQuota))
}
