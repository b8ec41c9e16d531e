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

package admissionregistration_test

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/install"
)

func to[T any](value T) *T { return &value }

func TestDefaults(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	everything := &metav1.LabelSelector{}
	rule := func(scope *admissionregistrationv1.ScopeType) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{Scope: scope}}
	}
	rules := func(scope *admissionregistrationv1.ScopeType) []admissionregistrationv1.NamedRuleWithOperations {
		return []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule(scope)}}
	}
	all := to(admissionregistrationv1.AllScopes)
	given := &admissionregistrationv1.MatchResources{ResourceRules: rules(nil), ExcludeResourceRules: rules(nil)}
	filled := &admissionregistrationv1.MatchResources{
		NamespaceSelector: everything, ObjectSelector: everything, MatchPolicy: to(admissionregistrationv1.Equivalent),
		ResourceRules: rules(all), ExcludeResourceRules: rules(all),
	}
	said := admissionregistrationv1.MutatingWebhook{
		ClientConfig:      admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Port: to[int32](8443)}},
		Rules:             []admissionregistrationv1.RuleWithOperations{rule(to(admissionregistrationv1.ClusterScope))},
		FailurePolicy:     to(admissionregistrationv1.Ignore),
		MatchPolicy:       to(admissionregistrationv1.Exact),
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}, ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"c": "d"}},
		TimeoutSeconds:     to[int32](1),
		ReinvocationPolicy: to(admissionregistrationv1.IfNeededReinvocationPolicy),
	}
	for name, test := range map[string]struct{ given, want runtime.Object }{
		"a mutating webhook fails closed, matches everything, takes 10 seconds and is asked once": {
			&admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{{
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{}},
				Rules:        []admissionregistrationv1.RuleWithOperations{rule(nil)},
			}}},
			&admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{{
				ClientConfig:  admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Port: to[int32](443)}},
				Rules:         []admissionregistrationv1.RuleWithOperations{rule(all)},
				FailurePolicy: to(admissionregistrationv1.Fail), MatchPolicy: to(admissionregistrationv1.Equivalent),
				NamespaceSelector: everything, ObjectSelector: everything,
				TimeoutSeconds: to[int32](10), ReinvocationPolicy: to(admissionregistrationv1.NeverReinvocationPolicy),
			}}},
		},
		"a validating webhook, too, in a list": {
			&admissionregistrationv1.ValidatingWebhookConfigurationList{Items: []admissionregistrationv1.ValidatingWebhookConfiguration{{
				Webhooks: []admissionregistrationv1.ValidatingWebhook{{Rules: []admissionregistrationv1.RuleWithOperations{rule(nil)}}},
			}}},
			&admissionregistrationv1.ValidatingWebhookConfigurationList{Items: []admissionregistrationv1.ValidatingWebhookConfiguration{{
				Webhooks: []admissionregistrationv1.ValidatingWebhook{{
					Rules:         []admissionregistrationv1.RuleWithOperations{rule(all)},
					FailurePolicy: to(admissionregistrationv1.Fail), MatchPolicy: to(admissionregistrationv1.Equivalent),
					NamespaceSelector: everything, ObjectSelector: everything, TimeoutSeconds: to[int32](10),
				}},
			}}},
		},
		"what a webhook says is kept": {
			&admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{*said.DeepCopy()}},
			&admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{said}},
		},
		"a validating policy fails closed and matches everything that its rules name": {
			&admissionregistrationv1.ValidatingAdmissionPolicy{Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{MatchConstraints: given.DeepCopy()}},
			&admissionregistrationv1.ValidatingAdmissionPolicy{Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{MatchConstraints: filled, FailurePolicy: to(admissionregistrationv1.Fail)}},
		},
		"a mutating policy, too, and has to say whether it is asked again": {
			&admissionregistrationv1.MutatingAdmissionPolicy{Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{MatchConstraints: given.DeepCopy()}},
			&admissionregistrationv1.MutatingAdmissionPolicy{Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{MatchConstraints: filled, FailurePolicy: to(admissionregistrationv1.Fail)}},
		},
		"a binding matches what its policy does": {&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}},
		"a binding that matches less says so": {
			&admissionregistrationv1.MutatingAdmissionPolicyBinding{Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{MatchResources: given.DeepCopy()}},
			&admissionregistrationv1.MutatingAdmissionPolicyBinding{Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{MatchResources: filled}},
		},
		"a validating one, too": {
			&admissionregistrationv1.ValidatingAdmissionPolicyBinding{Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{MatchResources: given.DeepCopy()}},
			&admissionregistrationv1.ValidatingAdmissionPolicyBinding{Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{MatchResources: filled}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme.Default(test.given)
			if !apiequality.Semantic.DeepEqual(test.given, test.want) {
				t.Errorf("got %+v, want %+v", test.given, test.want)
			}
		})
	}
}
