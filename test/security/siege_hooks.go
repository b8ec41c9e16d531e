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

package security

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/test/webhooks"
)

const (
	admissionGroup = "/apis/admissionregistration.k8s.io/v1"
	// hookLabel has the name of the webhook or policy that applies to an object.
	hookLabel = "attack-hook"
	// hungWrites exceeds the seats of the priority level that ordinary users share,
	// and hookedWrites is the number of writes for each other webhook.
	hungWrites, hookedWrites = 60, 4
)

// prepareHooks adds writes that call misbehaving webhooks, and writes that evaluate expensive policies.
func (b *besieging) prepareHooks() {
	admin := newClient(b.T, b.env.Admin)
	store := func(resource string, object any) {
		body, err := json.Marshal(object)
		if err != nil {
			b.Fatal(err)
		}
		admin.must(b.T, http.MethodPost, admissionGroup+"/"+resource, "", string(body))
	}
	misbehaviours := webhooks.Misbehaviours()
	names := slices.Sorted(maps.Keys(misbehaviours))
	for _, name := range names {
		store("mutatingwebhookconfigurations", b.hook(name, webhooks.RawHook(b.T, misbehaviours[name])))
	}
	const policy = "endless-policy"
	store("validatingadmissionpolicies", &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: policy},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				NamespaceSelector: b.here(), ObjectSelector: selected(policy),
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: configMapCreates()}},
			},
			Validations: webhooks.EndlessValidations(),
		},
	})
	store("validatingadmissionpolicybindings", &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy},
		Spec:       admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policy, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}},
	})
	editor := newClient(b.T, b.env.As(callers()["an editor"].user))
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	// Wait for the last of each kind: a server that has it, has the earlier ones, too.
	editor.awaitCode(ctx, b.T, b.hooked(names[len(names)-1], http.StatusInternalServerError), http.StatusInternalServerError)
	editor.awaitCode(ctx, b.T, b.hooked(policy, http.StatusUnprocessableEntity), http.StatusUnprocessableEntity)
	for _, name := range names {
		code, count := http.StatusInternalServerError, hookedWrites
		switch name {
		case webhooks.NeverAnswers:
			count = hungWrites
		case webhooks.RefusesAtLength:
			code = http.StatusForbidden
		}
		editor := b.editor(name)
		for range count {
			b.repeat(func() { b.send("a webhook that "+name, editor, b.hooked(name, code)) })
		}
	}
	editor = b.editor(policy)
	for range hookedWrites {
		b.repeat(func() { b.send("a policy without end", editor, b.hooked(policy, http.StatusUnprocessableEntity)) })
	}
}

// hooked returns a write for which the webhook or policy of the name is called.
func (b *besieging) hooked(name string, code int) attack {
	return attack{
		name: name, method: http.MethodPost, path: core + "/namespaces/" + b.env.Namespace + "/configmaps", code: code,
		body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"hooked-","labels":{"` + hookLabel + `":"` + name + `"}}}`,
	}
}

func (b *besieging) hook(name string, client admissionregistrationv1.WebhookClientConfig) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "attack-" + name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: name + ".attacks.example.com", ClientConfig: client, Rules: []admissionregistrationv1.RuleWithOperations{configMapCreates()},
			NamespaceSelector: b.here(), ObjectSelector: selected(name),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func (b *besieging) here() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": b.env.Namespace}}
}

func selected(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{hookLabel: name}}
}

func configMapCreates() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}
}
