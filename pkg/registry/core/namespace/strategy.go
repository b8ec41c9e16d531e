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

package namespace

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for writes to metadata.
type strategy struct{ base.Strategy }

// ResetFields returns the status.
func (strategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate sets the phase Active and the finalizer of the namespace controller.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	namespace := obj.(*corev1.Namespace)
	namespace.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

// PrepareForUpdate keeps the status, and the spec, because its finalizers have their own endpoint.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	namespace, oldNamespace := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	namespace.Spec = oldNamespace.Spec
	namespace.Status = oldNamespace.Status
}

// Canonicalize sets the label of the name, which may be generated after defaulting.
func (strategy) Canonicalize(obj runtime.Object) {
	core.SetDefaults_Namespace(obj.(*corev1.Namespace))
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateNamespace(obj.(*corev1.Namespace))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNamespaceUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}

// statusStrategy is the strategy for writes to the status.
type statusStrategy struct{ strategy }

// ResetFields returns the spec.
func (statusStrategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
}

// PrepareForUpdate keeps the spec. Metadata may change with the status, as in a kube-apiserver:
// its conformance tests patch annotations through this endpoint.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Spec = old.(*corev1.Namespace).Spec
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNamespaceStatusUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}

// finalizeStrategy is the strategy for writes to the finalizers in the spec.
type finalizeStrategy struct{ strategy }

// PrepareForUpdate keeps the status.
func (finalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

func (finalizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNamespaceFinalizeUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}
