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

package validatingadmissionpolicybinding

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

type binding = admissionregistrationv1.ValidatingAdmissionPolicyBinding

// strategy is the strategy for all writes.
type strategy struct {
	base.SpecStrategy[*binding, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec]
}

// WarningsOnUpdate warns of a name that is not valid.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.WarningsForName(obj.(*binding))
}

// rules are those of the bindings for base.SpecStrategy.
type rules struct {
	validator *validation.Validator
	check     *params.Check
	kindOf    params.KindOf
}

func (rules) Spec(binding *binding) *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec {
	return &binding.Spec
}

// Validate checks the caller's right to read the parameters if there is no other error.
func (r rules) Validate(ctx context.Context, binding *binding) field.ErrorList {
	if errs := r.validator.ValidateValidatingAdmissionPolicyBinding(binding, nil); len(errs) > 0 {
		return errs
	}
	return r.check.Ref(ctx, binding.Spec.PolicyName, binding.Spec.ParamRef, r.kindOf)
}

// ValidateUpdate checks the caller's right if the parameters change, or the policy that defines
// their kind.
func (r rules) ValidateUpdate(ctx context.Context, binding, old *binding) field.ErrorList {
	errs := r.validator.ValidateValidatingAdmissionPolicyBinding(binding, old)
	same := binding.Spec.PolicyName == old.Spec.PolicyName && apiequality.Semantic.DeepEqual(binding.Spec.ParamRef, old.Spec.ParamRef)
	if len(errs) > 0 || same {
		return errs
	}
	return r.check.Ref(ctx, binding.Spec.PolicyName, binding.Spec.ParamRef, r.kindOf)
}
