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
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestBindings(t *testing.T) {
	type spec = admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec
	validator := NewValidator()
	ref := func(change func(*admissionregistrationv1.ParamRef)) func(*spec) {
		return func(s *spec) { change(s.ParamRef) }
	}
	type R = admissionregistrationv1.ParamRef
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	for name, test := range map[string]struct {
		change func(*spec)
		want   []string
	}{
		"a binding":                        {func(*spec) {}, nil},
		"a binding to no policy":           {func(s *spec) { s.PolicyName = "" }, []string{required + "spec.policyName"}},
		"a policy with a wrong name":       {func(s *spec) { s.PolicyName = "A" }, []string{invalid + "spec.policyName"}},
		"a binding without parameters":     {func(s *spec) { s.ParamRef = nil }, nil},
		"parameters by selector":           {ref(func(r *R) { r.Name, r.Selector = "", selector }), nil},
		"parameters by nothing":            {ref(func(r *R) { r.Name = "" }), []string{required + "spec.paramRef"}},
		"parameters by name and selector":  {ref(func(r *R) { r.Selector = selector }), []string{forbidden + "spec.paramRef.name", forbidden + "spec.paramRef.selector"}},
		"parameters by a wrong name":       {ref(func(r *R) { r.Name = "a/b" }), []string{invalid + "spec.paramRef.name"}},
		"parameters by a wrong selector":   {ref(func(r *R) { r.Name, r.Selector = "", &metav1.LabelSelector{MatchLabels: map[string]string{"a b": ""}} }), []string{invalid + "spec.paramRef.selector.matchLabels"}},
		"nothing about lost parameters":    {ref(func(r *R) { r.ParameterNotFoundAction = nil }), []string{required + "spec.paramRef.parameterNotFoundAction"}},
		"an empty word about them":         {ref(func(r *R) { *r.ParameterNotFoundAction = "" }), []string{required + "spec.paramRef.parameterNotFoundAction"}},
		"a wrong word about them":          {ref(func(r *R) { *r.ParameterNotFoundAction = "Warn" }), []string{unsupported + "spec.paramRef.parameterNotFoundAction"}},
		"a binding that matches no more":   {func(s *spec) { s.MatchResources = nil }, nil},
		"a binding without resource rules": {func(s *spec) { s.MatchResources.ResourceRules = nil }, nil},
		"a wrong match policy":             {func(s *spec) { *s.MatchResources.MatchPolicy = "" }, []string{unsupported + "spec.matchResources.matchPolicy"}},
	} {
		t.Run(name, func(t *testing.T) {
			binding := validatingBinding()
			test.change(&binding.Spec)
			expect(t, validator.ValidateValidatingAdmissionPolicyBinding(binding, nil), test.want...)
			mutating := mutatingBinding()
			mutating.Spec.PolicyName, mutating.Spec.ParamRef, mutating.Spec.MatchResources = binding.Spec.PolicyName, binding.Spec.ParamRef, binding.Spec.MatchResources
			expect(t, validator.ValidateMutatingAdmissionPolicyBinding(mutating, nil), test.want...)
			expect(t, validator.ValidateMutatingAdmissionPolicyBinding(mutating, mutatingBinding()), test.want...)
		})
	}
	t.Run("a mutation of what is deleted", func(t *testing.T) {
		binding := mutatingBinding()
		binding.Spec.MatchResources.ResourceRules[0].Operations[0] = admissionregistrationv1.Delete
		expect(t, validator.ValidateMutatingAdmissionPolicyBinding(binding, nil), unsupported+"spec.matchResources.resourceRules.operations")
	})
}

func TestActions(t *testing.T) {
	const deny, warn, audit = admissionregistrationv1.Deny, admissionregistrationv1.Warn, admissionregistrationv1.Audit
	for name, test := range map[string]struct {
		actions []admissionregistrationv1.ValidationAction
		want    []string
	}{
		"deny and audit": {[]admissionregistrationv1.ValidationAction{deny, audit}, nil},
		"warn and audit": {[]admissionregistrationv1.ValidationAction{warn, audit}, nil},
		"nothing":        {nil, []string{required + "spec.validationActions"}},
		"deny and warn":  {[]admissionregistrationv1.ValidationAction{deny, warn}, []string{invalid + "spec.validationActions"}},
		"audit twice":    {[]admissionregistrationv1.ValidationAction{audit, audit}, []string{duplicate + "spec.validationActions[1]"}},
		"another":        {[]admissionregistrationv1.ValidationAction{"Refuse"}, []string{unsupported + "spec.validationActions[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			binding := validatingBinding()
			binding.Spec.ValidationActions = test.actions
			expect(t, NewValidator().ValidateValidatingAdmissionPolicyBinding(binding, nil), test.want...)
		})
	}
}

func TestStatus(t *testing.T) {
	warning := func(ref, text string) admissionregistrationv1.ValidatingAdmissionPolicyStatus {
		return admissionregistrationv1.ValidatingAdmissionPolicyStatus{TypeChecking: &admissionregistrationv1.TypeChecking{
			ExpressionWarnings: []admissionregistrationv1.ExpressionWarning{{FieldRef: ref, Warning: text}},
		}}
	}
	const at = "status.typeChecking.expressionWarnings[0]."
	for name, test := range map[string]struct {
		status admissionregistrationv1.ValidatingAdmissionPolicyStatus
		want   []string
	}{
		"nothing":                      {},
		"a warning":                    {status: warning("spec.validations[0].expression", "no such field")},
		"a warning about nothing":      {warning(" ", "no such field"), []string{required + at + "fieldRef"}},
		"a warning about a wrong path": {warning("spec.validations[", "no such field"), []string{invalid + at + "fieldRef"}},
		"a warning without words":      {warning("spec", ""), []string{required + at + "warning"}},
		"a condition of no status": {
			admissionregistrationv1.ValidatingAdmissionPolicyStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: "Maybe", Reason: "Asked", LastTransitionTime: metav1.Now()}}},
			[]string{unsupported + "status.conditions[0].status"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := validatingPolicy()
			policy.Status = test.status
			expect(t, NewValidator().ValidateValidatingAdmissionPolicyStatus(policy), test.want...)
		})
	}
}
