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

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

type (
	policy       = admissionregistrationv1.ValidatingAdmissionPolicy
	policySpec   = admissionregistrationv1.ValidatingAdmissionPolicySpec
	policyStatus = admissionregistrationv1.ValidatingAdmissionPolicyStatus
)

// TypeCheck returns a warning for each expression of a valid policy that does not fit a kind
// that the policy matches.
type TypeCheck func(*policy) []admissionregistrationv1.ExpressionWarning

// strategy is the strategy for writes to metadata and spec.
type strategy struct {
	base.SpecStatusStrategy[*policy, policySpec, policyStatus]
	types TypeCheck
}

// Canonicalize, which runs after validation, reports the type errors of the policy's expressions
// in the status, once for each generation. kube-controller-manager's
// validatingadmissionpolicy-status-controller reports the same.
func (s strategy) Canonicalize(obj runtime.Object) {
	policy := obj.(*policy)
	if s.types == nil || policy.Status.ObservedGeneration >= policy.Generation {
		return
	}
	policy.Status.ObservedGeneration = policy.Generation
	policy.Status.TypeChecking = &admissionregistrationv1.TypeChecking{ExpressionWarnings: s.types(policy)}
}

// WarningsOnUpdate warns of a name that is not valid.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForName(obj.(*policy))
}

// statusStrategy is the strategy for writes to the status.
type statusStrategy struct {
	base.StatusEndpointStrategy[*policy, policySpec, policyStatus]
}

// WarningsOnUpdate warns as for the policy itself.
func (statusStrategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForName(obj.(*policy))
}

// rules are those of the policies for base.SpecStatusStrategy.
type rules struct {
	validator *validation.Validator
	check     *params.Check
}

func (rules) Spec(policy *policy) *policySpec     { return &policy.Spec }
func (rules) Status(policy *policy) *policyStatus { return &policy.Status }
func (rules) InitialStatus() policyStatus         { return policyStatus{} }

// Validate checks the caller's right to read the parameters if there is no other error.
func (r rules) Validate(ctx context.Context, policy *policy) field.ErrorList {
	if errs := r.validator.ValidateValidatingAdmissionPolicy(policy, nil); len(errs) > 0 {
		return errs
	}
	return r.check.Kind(ctx, policy.Spec.ParamKind)
}

// ValidateUpdate checks the caller's right if the kind of the parameters changes.
func (r rules) ValidateUpdate(ctx context.Context, policy, old *policy) field.ErrorList {
	errs := r.validator.ValidateValidatingAdmissionPolicy(policy, old)
	if len(errs) > 0 || apiequality.Semantic.DeepEqual(policy.Spec.ParamKind, old.Spec.ParamKind) {
		return errs
	}
	return r.check.Kind(ctx, policy.Spec.ParamKind)
}

func (r rules) ValidateStatusUpdate(_ context.Context, policy, _ *policy) field.ErrorList {
	return r.validator.ValidateValidatingAdmissionPolicyStatus(policy)
}
