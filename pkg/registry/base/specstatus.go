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

package base

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// SpecRules are a kind's own rules for its spec; the compiler requires every one of them. T is the
// pointer to the hub type, and Spec the type of the fields that metadata.generation
// covers.
type SpecRules[T objectWithMeta, Spec any] interface {
	// Spec returns the fields that metadata.generation covers.
	Spec(T) *Spec
	// Validate and ValidateUpdate return the errors of an object and of a change.
	Validate(context.Context, T) field.ErrorList
	ValidateUpdate(ctx context.Context, obj, old T) field.ErrorList
}

// SpecStrategy is the strategy of a kind that has a spec and no status.
type SpecStrategy[T objectWithMeta, Spec any] struct {
	Strategy
	spec SpecRules[T, Spec]
}

// NewSpecStrategy returns the strategy of a kind with these rules.
func NewSpecStrategy[T objectWithMeta, Spec any](common Strategy, rules SpecRules[T, Spec]) SpecStrategy[T, Spec] {
	return SpecStrategy[T, Spec]{common, rules}
}

// PrepareForCreate sets the generation to 1.
func (SpecStrategy[T, Spec]) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(T).SetGeneration(1)
}

// PrepareForUpdate increments the generation if the spec changes.
func (s SpecStrategy[T, Spec]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	object, oldObject := obj.(T), old.(T)
	if !apiequality.Semantic.DeepEqual(s.spec.Spec(object), s.spec.Spec(oldObject)) {
		object.SetGeneration(oldObject.GetGeneration() + 1)
	}
}

// Validate applies the kind's rules.
func (s SpecStrategy[T, Spec]) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	return s.spec.Validate(ctx, obj.(T))
}

// ValidateUpdate applies the kind's rules.
func (s SpecStrategy[T, Spec]) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return s.spec.ValidateUpdate(ctx, obj.(T), old.(T))
}

// StatusRules are a kind's own rules for its spec and its status; the compiler demands every one
// of them.
type StatusRules[T objectWithMeta, Spec, Status any] interface {
	SpecRules[T, Spec]
	// Status returns the status, and InitialStatus the one of a new object.
	Status(T) *Status
	InitialStatus() Status
	// ValidateStatusUpdate returns the errors of a change of the status.
	ValidateStatusUpdate(ctx context.Context, obj, old T) field.ErrorList
}

// SpecStatusStrategy is the strategy for writes to metadata and spec of a kind that also has a
// status.
type SpecStatusStrategy[T objectWithMeta, Spec, Status any] struct {
	SpecStrategy[T, Spec]
	rules StatusRules[T, Spec, Status]
}

// NewSpecStatusStrategy returns the strategy of a kind with these rules.
func NewSpecStatusStrategy[T objectWithMeta, Spec, Status any](common Strategy, rules StatusRules[T, Spec, Status]) SpecStatusStrategy[T, Spec, Status] {
	return SpecStatusStrategy[T, Spec, Status]{NewSpecStrategy(common, SpecRules[T, Spec](rules)), rules}
}

// ResetFields returns the status.
func (SpecStatusStrategy[T, Spec, Status]) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate sets the generation to 1 and the status to the initial one.
func (s SpecStatusStrategy[T, Spec, Status]) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	s.SpecStrategy.PrepareForCreate(ctx, obj)
	*s.rules.Status(obj.(T)) = s.rules.InitialStatus()
}

// PrepareForUpdate keeps the status and increments the generation if the spec changes.
func (s SpecStatusStrategy[T, Spec, Status]) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	*s.rules.Status(obj.(T)) = *s.rules.Status(old.(T))
	s.SpecStrategy.PrepareForUpdate(ctx, obj, old)
}

// ForStatus returns the strategy for writes to the status of the same kind.
func (s SpecStatusStrategy[T, Spec, Status]) ForStatus() StatusEndpointStrategy[T, Spec, Status] {
	return StatusEndpointStrategy[T, Spec, Status]{s}
}

// StatusEndpointStrategy is the strategy for writes to the status endpoint.
type StatusEndpointStrategy[T objectWithMeta, Spec, Status any] struct {
	SpecStatusStrategy[T, Spec, Status]
}

// ResetFields returns everything but the status.
func (StatusEndpointStrategy[T, Spec, Status]) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec"))
}

// PrepareForUpdate keeps everything but the status.
func (s StatusEndpointStrategy[T, Spec, Status]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	object, oldObject := obj.(T), old.(T)
	*s.rules.Spec(object) = *s.rules.Spec(oldObject)
	KeepMetadata(object, oldObject)
}

// ValidateUpdate applies the kind's rules for its status.
func (s StatusEndpointStrategy[T, Spec, Status]) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return s.rules.ValidateStatusUpdate(ctx, obj.(T), old.(T))
}
