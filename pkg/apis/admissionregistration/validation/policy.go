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
	"regexp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
)

// The cost of each request grows with these, so they are limited. A value of an audit
// annotation may have 10 KiB, and is mostly longer than the expression that makes it.
const (
	maxMatchConditions                 = 64
	maxAuditAnnotations                = 20
	maxAuditAnnotationExpressionLength = 5 << 10
)

// identifier matches a name in CEL, unless it is a reserved word.
var identifier = regexp.MustCompile("^[_a-zA-Z][_a-zA-Z0-9]*$")

// keptForCEL are the reserved words of CEL, which are no names of variables.
func keptForCEL() []string {
	return []string{
		"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
		"let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
	}
}

// ValidateValidatingAdmissionPolicy checks a policy; old is nil for a new one.
func (v *Validator) ValidateValidatingAdmissionPolicy(policy, old *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	var errs field.ErrorList
	if old == nil {
		errs = validateMeta(&policy.ObjectMeta)
	}
	spec, at := &policy.Spec, field.NewPath("spec")
	lenience := lenienceOfValidating(policy, old)
	expressions := v.expressions(lenience.stored, spec.ParamKind != nil, len(spec.Variables) > 0)
	errs = append(errs, validateCommon(spec.FailurePolicy, spec.ParamKind, spec.MatchConstraints, at)...)
	if !lenience.matchConditions {
		errs = append(errs, validateMatchConditions(spec.MatchConditions, expressions, at.Child("matchConditions"))...)
	}
	errs = append(errs, validateVariables(spec.Variables, expressions, at.Child("variables"))...)
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		for _, child := range []string{"validations", "auditAnnotations"} {
			errs = append(errs, field.Required(at.Child(child), "a policy has at least one of validations and auditAnnotations"))
		}
	}
	for i := range spec.Validations {
		errs = append(errs, validateValidation(&spec.Validations[i], expressions, at.Child("validations").Index(i))...)
	}
	return append(errs, validateAuditAnnotations(policy.Name, spec.AuditAnnotations, expressions, at.Child("auditAnnotations"))...)
}

// validateCommon checks what both kinds of policies have.
func validateCommon(failure *admissionregistrationv1.FailurePolicyType, params *admissionregistrationv1.ParamKind, match *admissionregistrationv1.MatchResources, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if failure == nil {
		errs = append(errs, field.Required(at.Child("failurePolicy"), "must be Fail or Ignore"))
	} else {
		errs = append(errs, validateFailurePolicy(*failure, at.Child("failurePolicy"))...)
	}
	if params != nil {
		errs = append(errs, validateParamKind(params, at.Child("paramKind"))...)
	}
	if match == nil {
		return append(errs, field.Required(at.Child("matchConstraints"), "must select the requests to which the policy applies"))
	}
	errs = append(errs, validateMatchResources(match, at.Child("matchConstraints"))...)
	if len(match.ResourceRules) == 0 {
		errs = append(errs, field.Required(at.Child("matchConstraints", "resourceRules"), "name at least one resource that the policy is about"))
	}
	return errs
}

func validateParamKind(kind *admissionregistrationv1.ParamKind, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if kind.APIVersion == "" {
		errs = append(errs, field.Required(at.Child("apiVersion"), "name group and version of the parameters, such as v1 or example.com/v1"))
	} else {
		errs = append(errs, validateGroupVersion(kind.APIVersion, at.Child("apiVersion"))...)
	}
	if kind.Kind == "" {
		return append(errs, field.Required(at.Child("kind"), "name the kind of the parameters, such as ConfigMap"))
	}
	for _, message := range utilvalidation.IsDNS1035Label(strings.ToLower(kind.Kind)) {
		errs = append(errs, field.Invalid(at.Child("kind"), kind.Kind, "capitals aside, "+message))
	}
	return errs
}

func validateGroupVersion(text string, at *field.Path) field.ErrorList {
	gv, err := schema.ParseGroupVersion(text)
	if err != nil {
		return field.ErrorList{field.Invalid(at, text, "must be a version, or a group and a version, such as example.com/v1")}
	}
	var errs field.ErrorList
	if gv.Group != "" {
		for _, message := range utilvalidation.IsDNS1123Subdomain(gv.Group) {
			errs = append(errs, field.Invalid(at, gv.Group, message))
		}
	}
	if gv.Version == "" {
		return append(errs, field.Invalid(at, text, "has no version"))
	}
	for _, message := range utilvalidation.IsDNS1035Label(gv.Version) {
		errs = append(errs, field.Invalid(at, gv.Version, message))
	}
	return errs
}

func validateMatchConditions(conditions []admissionregistrationv1.MatchCondition, expressions *expressions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(conditions) > maxMatchConditions {
		errs = append(errs, field.TooMany(at, len(conditions), maxMatchConditions))
	}
	names := sets.New[string]()
	for i, condition := range conditions {
		at := at.Index(i)
		if blank(condition.Expression) {
			errs = append(errs, field.Required(at.Child("expression"), "a condition is an expression in CEL"))
		} else {
			errs = append(errs, expressions.alone(roleMatchCondition, &matchconditions.MatchCondition{Name: condition.Name, Expression: condition.Expression}, at.Child("expression"))...)
		}
		if condition.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), "a condition has a name, by which messages call it"))
			continue
		}
		for _, message := range utilvalidation.IsQualifiedName(condition.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), condition.Name, message))
		}
		if names.Has(condition.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), condition.Name))
		}
		names.Insert(condition.Name)
	}
	return errs
}

// validateVariables compiles them in order: each may use those before it.
func validateVariables(variables []admissionregistrationv1.Variable, expressions *expressions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, variable := range variables {
		at := at.Index(i)
		switch {
		case blank(variable.Name):
			errs = append(errs, field.Required(at.Child("name"), "a variable has a name"))
		case !identifier.MatchString(variable.Name) || slices.Contains(keptForCEL(), variable.Name):
			errs = append(errs, field.Invalid(at.Child("name"), variable.Name, "must be a name in CEL: letters, digits and underscores, not a digit first, and not a word of CEL's own"))
		}
		if blank(variable.Expression) {
			errs = append(errs, field.Required(at.Child("expression"), "a variable has a value, an expression in CEL"))
			continue
		}
		errs = append(errs, expressions.variable(&validatingpolicy.Variable{Name: variable.Name, Expression: variable.Expression}, at.Child("expression"))...)
	}
	return errs
}

func validateValidation(validation *admissionregistrationv1.Validation, expressions *expressions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if blank(validation.Expression) {
		errs = append(errs, field.Required(at.Child("expression"), "a validation is an expression in CEL that is true for what is allowed"))
	} else {
		errs = append(errs, expressions.check(roleValidation, &validatingpolicy.ValidationCondition{Expression: validation.Expression}, at.Child("expression"))...)
	}
	switch {
	case validation.MessageExpression == "":
	case blank(validation.MessageExpression):
		errs = append(errs, field.Invalid(at.Child("messageExpression"), validation.MessageExpression, "must not be blank: leave it out"))
	default:
		errs = append(errs, expressions.check(roleMessage, &validatingpolicy.MessageExpressionCondition{MessageExpression: validation.MessageExpression}, at.Child("messageExpression"))...)
	}
	switch {
	case validation.Message == "":
	case blank(validation.Message):
		errs = append(errs, field.Invalid(at.Child("message"), validation.Message, "must not be blank: leave it out"))
	case strings.ContainsAny(strings.TrimSpace(validation.Message), "\r\n"):
		errs = append(errs, field.Invalid(at.Child("message"), validation.Message, "must be a single line"))
	}
	if validation.Reason != nil {
		errs = append(errs, oneOf(*validation.Reason, at.Child("reason"), metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)...)
	}
	return errs
}

func validateAuditAnnotations(policy string, annotations []admissionregistrationv1.AuditAnnotation, expressions *expressions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(annotations) > maxAuditAnnotations {
		errs = append(errs, field.Invalid(at, len(annotations), "must not be more than 20"))
	}
	keys := sets.New[string]()
	for i, annotation := range annotations {
		at := at.Index(i)
		if policy == "" {
			errs = append(errs, field.Invalid(at.Child("key"), annotation.Key, "belongs to a policy with a name: use metadata.name, not generateName"))
		} else {
			for _, message := range utilvalidation.IsQualifiedName(policy + "/" + annotation.Key) {
				errs = append(errs, field.Invalid(at.Child("key"), annotation.Key, message))
			}
		}
		if keys.Has(annotation.Key) {
			errs = append(errs, field.Duplicate(at.Child("key"), annotation.Key))
		}
		keys.Insert(annotation.Key)
		value := at.Child("valueExpression")
		switch {
		case blank(annotation.ValueExpression):
			errs = append(errs, field.Required(value, "an annotation has a value, an expression in CEL"))
		case len(strings.TrimSpace(annotation.ValueExpression)) > maxAuditAnnotationExpressionLength:
			// Required and not TooLong, as in Kubernetes.
			errs = append(errs, field.Required(value, "must not be longer than 5 KiB"))
		default:
			errs = append(errs, expressions.check(roleAuditAnnotation, &validatingpolicy.AuditAnnotationCondition{Key: annotation.Key, ValueExpression: annotation.ValueExpression}, value)...)
		}
	}
	return errs
}
