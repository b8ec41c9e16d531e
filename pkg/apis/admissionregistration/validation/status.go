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
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"
)

// ValidateValidatingAdmissionPolicyStatus checks the status of a policy.
func (v *Validator) ValidateValidatingAdmissionPolicyStatus(policy *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	at := field.NewPath("status")
	errs := metav1validation.ValidateConditions(policy.Status.Conditions, at.Child("conditions"))
	if policy.Status.TypeChecking == nil {
		return errs
	}
	for i, warning := range policy.Status.TypeChecking.ExpressionWarnings {
		at := at.Child("typeChecking", "expressionWarnings").Index(i)
		if warning.Warning == "" {
			errs = append(errs, field.Required(at.Child("warning"), "must not be empty"))
		}
		errs = append(errs, validateFieldRef(warning.FieldRef, at.Child("fieldRef"))...)
	}
	return errs
}

// validateFieldRef checks that the path of an expression can be read.
func validateFieldRef(path string, at *field.Path) field.ErrorList {
	path = strings.TrimSpace(path)
	if path == "" {
		return field.ErrorList{field.Required(at, "name the expression that the warning is about, such as spec.validations[0].expression")}
	}
	if err := jsonpath.New(path).Parse("{" + path + "}"); err != nil {
		return field.ErrorList{field.Invalid(at, path, "is no JSONPath: "+err.Error())}
	}
	return nil
}
