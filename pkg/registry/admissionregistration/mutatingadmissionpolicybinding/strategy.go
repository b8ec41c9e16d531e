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

package mutatingadmissionpolicybinding

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy decides on writes.
type strategy struct {
	base.Strategy
	validator *validation.Validator
	check     *params.Check
	kindOf    params.KindOf
}

// GetResetFields names nothing: a write may set every field.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return nil }

// PrepareForCreate counts from one.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*admissionregistrationv1.MutatingAdmissionPolicyBinding).Generation = 1
}

// PrepareForUpdate counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	binding, oldBinding := obj.(*admissionregistrationv1.MutatingAdmissionPolicyBinding), old.(*admissionregistrationv1.MutatingAdmissionPolicyBinding)
	if !apiequality.Semantic.DeepEqual(binding.Spec, oldBinding.Spec) {
		binding.Generation = oldBinding.Generation + 1
	}
}

// Validate asks for the caller's right to read the parameters when nothing else is wrong.
func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	binding := obj.(*admissionregistrationv1.MutatingAdmissionPolicyBinding)
	if errs := s.validator.ValidateMutatingAdmissionPolicyBinding(binding, nil); len(errs) > 0 {
		return errs
	}
	return s.check.Ref(ctx, binding.Spec.PolicyName, binding.Spec.ParamRef, s.kindOf)
}

// ValidateUpdate asks for the caller's right where the parameters change, or the policy that
// says of what kind they are.
func (s strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	binding, oldBinding := obj.(*admissionregistrationv1.MutatingAdmissionPolicyBinding), old.(*admissionregistrationv1.MutatingAdmissionPolicyBinding)
	errs := s.validator.ValidateMutatingAdmissionPolicyBinding(binding, oldBinding)
	same := binding.Spec.PolicyName == oldBinding.Spec.PolicyName && apiequality.Semantic.DeepEqual(binding.Spec.ParamRef, oldBinding.Spec.ParamRef)
	if len(errs) > 0 || same {
		return errs
	}
	return s.check.Ref(ctx, binding.Spec.PolicyName, binding.Spec.ParamRef, s.kindOf)
}

// WarningsOnUpdate says that the binding should not be called what it is.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForName(obj.(*admissionregistrationv1.MutatingAdmissionPolicyBinding))
}
