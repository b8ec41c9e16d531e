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
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateValidatingAdmissionPolicyBinding checks a binding; old is nil for a new one.
func (v *Validator) ValidateValidatingAdmissionPolicyBinding(binding, old *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	var errs field.ErrorList
	if old == nil {
		errs = validateMeta(&binding.ObjectMeta)
	}
	at := field.NewPath("spec")
	errs = append(errs, validateBound(binding.Spec.PolicyName, binding.Spec.ParamRef, at)...)
	errs = append(errs, validateMatchResources(binding.Spec.MatchResources, at.Child("matchResources"))...)
	return append(errs, validateActions(binding.Spec.ValidationActions, at.Child("validationActions"))...)
}

// ValidateMutatingAdmissionPolicyBinding checks a binding; old is nil for a new one.
func (v *Validator) ValidateMutatingAdmissionPolicyBinding(binding, old *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	var errs field.ErrorList
	if old == nil {
		errs = validateMeta(&binding.ObjectMeta)
	}
	at := field.NewPath("spec")
	errs = append(errs, validateBound(binding.Spec.PolicyName, binding.Spec.ParamRef, at)...)
	errs = append(errs, validateMatchResources(binding.Spec.MatchResources, at.Child("matchResources"))...)
	return append(errs, validateMutable(binding.Spec.MatchResources, at.Child("matchResources"))...)
}

// validateBound checks what is bound, and with which parameters.
func validateBound(policy string, params *admissionregistrationv1.ParamRef, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if policy == "" {
		errs = append(errs, field.Required(at.Child("policyName"), "a binding names its policy"))
	} else {
		for _, message := range apivalidation.NameIsDNSSubdomain(policy, false) {
			errs = append(errs, field.Invalid(at.Child("policyName"), policy, message))
		}
	}
	if params == nil {
		return errs
	}
	return append(errs, validateParamRef(params, at.Child("paramRef"))...)
}

func validateParamRef(params *admissionregistrationv1.ParamRef, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case params.Name == "" && params.Selector == nil:
		errs = append(errs, field.Required(at, "parameters must be selected by name or by selector"))
	case params.Name != "" && params.Selector != nil:
		for _, child := range []string{"name", "selector"} {
			errs = append(errs, field.Forbidden(at.Child(child), "name and selector are mutually exclusive: use one"))
		}
	}
	if params.Name != "" {
		for _, message := range content.IsPathSegmentName(params.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), params.Name, message))
		}
	}
	if params.Selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(params.Selector, metav1validation.LabelSelectorValidationOptions{}, at.Child("selector"))...)
	}
	if params.ParameterNotFoundAction == nil || *params.ParameterNotFoundAction == "" {
		return append(errs, field.Required(at.Child("parameterNotFoundAction"), "must be Allow or Deny: it applies if there are no such parameters"))
	}
	return append(errs, oneOf(*params.ParameterNotFoundAction, at.Child("parameterNotFoundAction"), admissionregistrationv1.AllowAction, admissionregistrationv1.DenyAction)...)
}

func validateActions(actions []admissionregistrationv1.ValidationAction, at *field.Path) field.ErrorList {
	if len(actions) == 0 {
		return field.ErrorList{field.Required(at, "must contain Deny, Warn or Audit: it applies to requests that fail the policy")}
	}
	var errs field.ErrorList
	seen := sets.New[admissionregistrationv1.ValidationAction]()
	for i, action := range actions {
		errs = append(errs, oneOf(action, at.Index(i), admissionregistrationv1.Audit, admissionregistrationv1.Deny, admissionregistrationv1.Warn)...)
		if seen.Has(action) {
			errs = append(errs, field.Duplicate(at.Index(i), action))
		}
		seen.Insert(action)
	}
	if slices.Contains(actions, admissionregistrationv1.Deny) && slices.Contains(actions, admissionregistrationv1.Warn) {
		errs = append(errs, field.Invalid(at, actions, "Deny includes the message of Warn: leave one of them out"))
	}
	return errs
}
