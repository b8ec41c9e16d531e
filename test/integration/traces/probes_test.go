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

package traces

import (
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const probes = "probes"

// inForce returns when the server has read all of the world: the last object of each kind refuses a probe.
func (w *world) inForce(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: probes, Labels: map[string]string{probes: "yes"}}}, metav1.CreateOptions{})
	check(t, err)
	w.storeProbes(t, client)
	for _, of := range []string{"policy", "mutates", "validates"} {
		harness.ComesTrue(t, func(context) string {
			_, err := client.CoreV1().ConfigMaps(probes).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-", Labels: map[string]string{"probe": of}}}, metav1.CreateOptions{})
			if err == nil || !strings.Contains(err.Error(), "probe-"+of) {
				return fmt.Sprint(err)
			}
			return ""
		})
	}
	for _, q := range w.quotas {
		harness.ComesTrue(t, func(context) string {
			current, err := client.CoreV1().ResourceQuotas(q.namespace).Get(t.Context(), q.name, metav1.GetOptions{})
			if err != nil || len(current.Status.Hard) == 0 {
				return fmt.Sprint(err, q)
			}
			return ""
		})
	}
	for _, namespace := range w.namespaces {
		harness.ComesTrue(t, func(context) string {
			if _, err := client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
				return err.Error()
			}
			return ""
		})
	}
}

func (w *world) storeProbes(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	api, none := client.AdmissionregistrationV1(), ptr.To(admissionregistrationv1.SideEffectClassNone)
	m := rule{operations: []string{"CREATE"}, resources: []string{"configmaps"}}
	here := &metav1.LabelSelector{MatchLabels: map[string]string{probes: "yes"}}
	for _, of := range []string{"mutates", "validates"} {
		m.label = "probe=" + of
		name, url := "probe-"+of+".example.com", ptr.To("https://127.0.0.1:1/"+of)
		meta := metav1.ObjectMeta{Name: "probe-" + of}
		var err error
		if of == "mutates" {
			_, err = api.MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: name, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: url}, Rules: m.rules(), NamespaceSelector: here, ObjectSelector: m.labels(), SideEffects: none, AdmissionReviewVersions: []string{"v1"},
			}}}, metav1.CreateOptions{})
		} else {
			_, err = api.ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: name, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: url}, Rules: m.rules(), NamespaceSelector: here, ObjectSelector: m.labels(), SideEffects: none, AdmissionReviewVersions: []string{"v1"},
			}}}, metav1.CreateOptions{})
		}
		check(t, err)
	}
	m.label = "probe=policy"
	match := &admissionregistrationv1.MatchResources{NamespaceSelector: here, ObjectSelector: m.labels(), ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: m.rules()[0]}}}
	meta := metav1.ObjectMeta{Name: "probe-policy"}
	_, err := api.ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: match, Validations: []admissionregistrationv1.Validation{{Expression: "false"}},
	}}, metav1.CreateOptions{})
	check(t, err)
	_, err = api.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: "probe-policy", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}}, metav1.CreateOptions{})
	check(t, err)
}
