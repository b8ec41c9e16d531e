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

package validatingadmissionpolicy

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

// strategy decides on writes to metadata and spec.
type strategy struct {
	base.Strategy
	validator *validation.Validator
	check     *params.Check
	types     TypeCheck
}

// TypeCheck returns a warning for each expression of a valid policy that does not fit a kind
// that the policy matches.
type TypeCheck func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning

// GetResetFields names what a write to the main endpoint leaves as it is.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(admissionregistrationv1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// PrepareForCreate starts with an empty status, which is not for users to say.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	policy := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	policy.Generation = 1
	policy.Status = admissionregistrationv1.ValidatingAdmissionPolicyStatus{}
}

// PrepareForUpdate keeps the status and counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	policy, oldPolicy := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy), old.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	policy.Status = oldPolicy.Status
	if !apiequality.Semantic.DeepEqual(policy.Spec, oldPolicy.Spec) {
		policy.Generation = oldPolicy.Generation + 1
	}
}

// Validate asks for the caller's right to read the parameters when nothing else is wrong.
func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	policy := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	if errs := s.validator.ValidateValidatingAdmissionPolicy(policy, nil); len(errs) > 0 {
		return errs
	}
	return s.check.Kind(ctx, policy.Spec.ParamKind)
}

// ValidateUpdate asks for the caller's right where the kind of the parameters changes.
func (s strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	policy, oldPolicy := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy), old.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	errs := s.validator.ValidateValidatingAdmissionPolicy(policy, oldPolicy)
	if len(errs) > 0 || apiequality.Semantic.DeepEqual(policy.Spec.ParamKind, oldPolicy.Spec.ParamKind) {
		return errs
	}
	return s.check.Kind(ctx, policy.Spec.ParamKind)
}

// Canonicalize, which runs once the policy is known to be valid, reports in the status what is
// wrong with the types in the policy's expressions, for each generation once.
// kube-controller-manager's validatingadmissionpolicy-status-controller reports the same.
func (s strategy) Canonicalize(obj runtime.Object) {
	policy := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	if s.types == nil || policy.Status.ObservedGeneration >= policy.Generation {
		return
	}
	policy.Status.ObservedGeneration = policy.Generation
	policy.Status.TypeChecking = &admissionregistrationv1.TypeChecking{ExpressionWarnings: s.types(policy)}
}

// WarningsOnUpdate says that the policy should not be called what it is.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForName(obj.(*admissionregistrationv1.ValidatingAdmissionPolicy))
}

// statusStrategy decides on writes to the status.
type statusStrategy struct{ strategy }

// GetResetFields names what a write to the status endpoint leaves as it is.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(admissionregistrationv1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec")),
	}
}

// PrepareForUpdate keeps everything but the status.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	policy, oldPolicy := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy), old.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	policy.Spec = oldPolicy.Spec
	base.KeepMetadata(&policy.ObjectMeta, &oldPolicy.ObjectMeta)
}

// Canonicalize leaves the status as it was sent.
func (statusStrategy) Canonicalize(runtime.Object) {}

func (s statusStrategy) ValidateUpdate(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	return s.validator.ValidateValidatingAdmissionPolicyStatus(obj.(*admissionregistrationv1.ValidatingAdmissionPolicy))
}
