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

package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Defaults of webhooks.
const (
	defaultTimeoutSeconds int32 = 10
	defaultServicePort    int32 = 443
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	register(scheme, SetDefaults_MutatingWebhookConfiguration, func(l *admissionregistrationv1.MutatingWebhookConfigurationList) []admissionregistrationv1.MutatingWebhookConfiguration {
		return l.Items
	})
	register(scheme, SetDefaults_ValidatingWebhookConfiguration, func(l *admissionregistrationv1.ValidatingWebhookConfigurationList) []admissionregistrationv1.ValidatingWebhookConfiguration {
		return l.Items
	})
	register(scheme, SetDefaults_MutatingAdmissionPolicy, func(l *admissionregistrationv1.MutatingAdmissionPolicyList) []admissionregistrationv1.MutatingAdmissionPolicy {
		return l.Items
	})
	register(scheme, SetDefaults_MutatingAdmissionPolicyBinding, func(l *admissionregistrationv1.MutatingAdmissionPolicyBindingList) []admissionregistrationv1.MutatingAdmissionPolicyBinding {
		return l.Items
	})
	register(scheme, SetDefaults_ValidatingAdmissionPolicy, func(l *admissionregistrationv1.ValidatingAdmissionPolicyList) []admissionregistrationv1.ValidatingAdmissionPolicy {
		return l.Items
	})
	register(scheme, SetDefaults_ValidatingAdmissionPolicyBinding, func(l *admissionregistrationv1.ValidatingAdmissionPolicyBindingList) []admissionregistrationv1.ValidatingAdmissionPolicyBinding {
		return l.Items
	})
	return nil
}

// register registers the defaults of a type, for single objects and lists.
func register[T, L any, PT interface {
	*T
	runtime.Object
}, PL interface {
	*L
	runtime.Object
}](scheme *runtime.Scheme, setDefaults func(PT), items func(PL) []T) {
	scheme.AddTypeDefaultingFunc(PT(new(T)), func(obj any) { setDefaults(obj.(PT)) })
	scheme.AddTypeDefaultingFunc(PL(new(L)), func(obj any) {
		all := items(obj.(PL))
		for i := range all {
			setDefaults(&all[i])
		}
	})
}

// orElse sets a default if the value is nil.
func orElse[T any](value **T, otherwise T) {
	if *value == nil {
		*value = &otherwise
	}
}

// SetDefaults_MutatingWebhookConfiguration sets the defaults of every webhook.
func SetDefaults_MutatingWebhookConfiguration(obj *admissionregistrationv1.MutatingWebhookConfiguration) {
	for i := range obj.Webhooks {
		hook := &obj.Webhooks[i]
		orElse(&hook.FailurePolicy, admissionregistrationv1.Fail)
		orElse(&hook.TimeoutSeconds, defaultTimeoutSeconds)
		orElse(&hook.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
		setMatch(&hook.MatchPolicy, &hook.NamespaceSelector, &hook.ObjectSelector)
		setPort(&hook.ClientConfig)
		setScopes(hook.Rules)
	}
}

// SetDefaults_ValidatingWebhookConfiguration sets the defaults of every webhook.
func SetDefaults_ValidatingWebhookConfiguration(obj *admissionregistrationv1.ValidatingWebhookConfiguration) {
	for i := range obj.Webhooks {
		hook := &obj.Webhooks[i]
		orElse(&hook.FailurePolicy, admissionregistrationv1.Fail)
		orElse(&hook.TimeoutSeconds, defaultTimeoutSeconds)
		setMatch(&hook.MatchPolicy, &hook.NamespaceSelector, &hook.ObjectSelector)
		setPort(&hook.ClientConfig)
		setScopes(hook.Rules)
	}
}

// SetDefaults_MutatingAdmissionPolicy sets the defaults of matchConstraints and failurePolicy (Fail).
// reinvocationPolicy has none.
func SetDefaults_MutatingAdmissionPolicy(obj *admissionregistrationv1.MutatingAdmissionPolicy) {
	orElse(&obj.Spec.FailurePolicy, admissionregistrationv1.Fail)
	setMatchResources(obj.Spec.MatchConstraints)
}

// SetDefaults_MutatingAdmissionPolicyBinding sets the defaults of matchResources, if the binding has
// them.
func SetDefaults_MutatingAdmissionPolicyBinding(obj *admissionregistrationv1.MutatingAdmissionPolicyBinding) {
	setMatchResources(obj.Spec.MatchResources)
}

// SetDefaults_ValidatingAdmissionPolicy sets the defaults of matchConstraints and failurePolicy (Fail).
func SetDefaults_ValidatingAdmissionPolicy(obj *admissionregistrationv1.ValidatingAdmissionPolicy) {
	orElse(&obj.Spec.FailurePolicy, admissionregistrationv1.Fail)
	setMatchResources(obj.Spec.MatchConstraints)
}

// SetDefaults_ValidatingAdmissionPolicyBinding sets the defaults of matchResources, if the binding
// has them.
func SetDefaults_ValidatingAdmissionPolicyBinding(obj *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	setMatchResources(obj.Spec.MatchResources)
}

func setMatchResources(match *admissionregistrationv1.MatchResources) {
	if match == nil {
		return
	}
	setMatch(&match.MatchPolicy, &match.NamespaceSelector, &match.ObjectSelector)
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{match.ResourceRules, match.ExcludeResourceRules} {
		for i := range rules {
			orElse(&rules[i].Scope, admissionregistrationv1.AllScopes)
		}
	}
}

// setMatch sets selectors that select everything: a nil selector selects nothing.
func setMatch(policy **admissionregistrationv1.MatchPolicyType, namespaces, objects **metav1.LabelSelector) {
	orElse(policy, admissionregistrationv1.Equivalent)
	orElse(namespaces, metav1.LabelSelector{})
	orElse(objects, metav1.LabelSelector{})
}

func setPort(config *admissionregistrationv1.WebhookClientConfig) {
	if config.Service != nil {
		orElse(&config.Service.Port, defaultServicePort)
	}
}

func setScopes(rules []admissionregistrationv1.RuleWithOperations) {
	for i := range rules {
		orElse(&rules[i].Scope, admissionregistrationv1.AllScopes)
	}
}
