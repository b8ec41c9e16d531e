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

package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
)

// ValidateMutatingAdmissionPolicy checks a policy; old is nil for a new one.
func (v *Validator) ValidateMutatingAdmissionPolicy(policy, old *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	var errs field.ErrorList
	if old == nil {
		errs = validateMeta(&policy.ObjectMeta)
	}
	spec, at := &policy.Spec, field.NewPath("spec")
	lenience := lenienceOfMutating(policy, old)
	expressions := v.expressions(lenience.stored, spec.ParamKind != nil, true)
	errs = append(errs, validateCommon(spec.FailurePolicy, spec.ParamKind, spec.MatchConstraints, at)...)
	errs = append(errs, validateMutable(spec.MatchConstraints, at.Child("matchConstraints"))...)
	if !lenience.matchConditions {
		errs = append(errs, validateMatchConditions(spec.MatchConditions, expressions, at.Child("matchConditions"))...)
	}
	errs = append(errs, validateVariables(spec.Variables, expressions, at.Child("variables"))...)
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(at.Child("mutations"), "a policy has at least one mutation"))
	}
	for i := range spec.Mutations {
		errs = append(errs, validateMutation(&spec.Mutations[i], expressions, at.Child("mutations").Index(i))...)
	}
	if spec.ReinvocationPolicy == "" {
		return append(errs, field.Required(at.Child("reinvocationPolicy"), "must be Never, or IfNeeded for another call after the object was changed"))
	}
	return append(errs, validateReinvocationPolicy(spec.ReinvocationPolicy, at.Child("reinvocationPolicy"))...)
}

func validateMutation(mutation *admissionregistrationv1.Mutation, expressions *expressions, at *field.Path) field.ErrorList {
	const applies, patches = admissionregistrationv1.PatchTypeApplyConfiguration, admissionregistrationv1.PatchTypeJSONPatch
	switch mutation.PatchType {
	case "":
		return field.ErrorList{field.Required(at.Child("patchType"), "must be ApplyConfiguration or JSONPatch")}
	case applies:
		var errs field.ErrorList
		if mutation.JSONPatch != nil {
			errs = append(errs, field.Invalid(at.Child("jsonPatch"), mutation.JSONPatch.Expression, "is not for patchType ApplyConfiguration: remove it"))
		}
		if mutation.ApplyConfiguration == nil {
			return append(errs, field.Required(at.Child("applyConfiguration"), "patchType ApplyConfiguration needs it"))
		}
		expression := mutation.ApplyConfiguration.Expression
		return append(errs, validatePatch(expression, expressions, roleApplyConfiguration, at.Child("applyConfiguration", "expression"))...)
	case patches:
		var errs field.ErrorList
		if mutation.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(at.Child("applyConfiguration"), mutation.ApplyConfiguration.Expression, "is not for patchType JSONPatch: remove it"))
		}
		if mutation.JSONPatch == nil {
			return append(errs, field.Required(at.Child("jsonPatch"), "patchType JSONPatch needs it"))
		}
		expression := mutation.JSONPatch.Expression
		return append(errs, validatePatch(expression, expressions, roleJSONPatch, at.Child("jsonPatch", "expression"))...)
	default:
		return oneOf(mutation.PatchType, at.Child("patchType"), applies, patches)
	}
}

func validatePatch(expression string, expressions *expressions, in role, at *field.Path) field.ErrorList {
	if blank(expression) {
		return field.ErrorList{field.Required(at, "a mutation is an expression in CEL")}
	}
	if in == roleJSONPatch {
		return expressions.check(in, &patch.JSONPatchCondition{Expression: expression}, at)
	}
	return expressions.check(in, &patch.ApplyConfigurationCondition{Expression: expression}, at)
}
