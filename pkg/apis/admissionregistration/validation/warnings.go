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
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/webhook"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
)

// WarningsForValidatingWebhookConfiguration returns warnings about probable mistakes.
func WarningsForValidatingWebhookConfiguration(config *admissionregistrationv1.ValidatingWebhookConfiguration) []string {
	return webhookWarnings(validating(config.Webhooks))
}

// WarningsForMutatingWebhookConfiguration returns warnings about probable mistakes.
func WarningsForMutatingWebhookConfiguration(config *admissionregistrationv1.MutatingWebhookConfiguration) []string {
	return webhookWarnings(config.Webhooks)
}

// WarningsForName returns a warning about an existing object with a name that a new object must not have.
func WarningsForName(meta metav1.Object) []string {
	if strings.HasSuffix(meta.GetName(), staticSuffix) {
		return []string{fmt.Sprintf("metadata.name: names that end in %s are for configurations in files of the server", staticSuffix)}
	}
	return nil
}

func webhookWarnings(hooks []admissionregistrationv1.MutatingWebhook) []string {
	var warnings []string
	for i := range hooks {
		at := field.NewPath("webhooks").Index(i)
		// Kubernetes accepts what is no certificate, because controllers replace placeholders there;
		// but a webhook with it cannot be called.
		if bundle := hooks[i].ClientConfig.CABundle; len(bundle) > 0 && len(webhook.ValidateCABundle(nil, bundle)) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: there is no certificate in it, so the webhook cannot be called", at.Child("clientConfig", "caBundle")))
		}
		for j := range hooks[i].Rules {
			for _, resource := range excludedBy(&hooks[i].Rules[j]) {
				warnings = append(warnings, fmt.Sprintf("%s: no webhook is called for %s", at.Child("rules").Index(j), resource))
			}
		}
	}
	return warnings
}

// excludedBy are the resources that a rule names although no webhook is called for them. With
// an asterisk it is unknown whether they were intended.
func excludedBy(rule *admissionregistrationv1.RuleWithOperations) []schema.GroupResource {
	if slices.Contains(rule.APIGroups, everything) || slices.Contains(rule.Resources, everything) {
		return nil
	}
	var named []schema.GroupResource
	for _, excluded := range admissionregistration.ExcludedResources() {
		if slices.Contains(rule.APIGroups, excluded.Group) && slices.Contains(rule.Resources, excluded.Resource) {
			named = append(named, excluded)
		}
	}
	return named
}
