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

package gates

import (
	"net/http"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// tokens lets the host of an instance ask for the instance's token.
func tokens(s *scene) {
	ask := s.boundHost(s.name("edge"), s.name("bound"))
	token := []string{"instances/token"}
	s.hooks.set("mutating", allow)
	s.hooks.set("validating", deny("no tokens today"))
	s.mutate(admissionregistrationv1.MutatingWebhook{Name: "token.gates.example.com", ClientConfig: s.hooks.client("mutating"), Rules: rule(token, admissionregistrationv1.Create)})
	s.validate(admissionregistrationv1.ValidatingWebhook{Name: "token.gates.example.com", ClientConfig: s.hooks.client("validating"), Rules: rule(token, admissionregistrationv1.Create)})
	const words = `admission webhook "token.gates.example.com" denied the request: no tokens today`
	s.eventually("the host is known as the one to which the instance is bound", func() (bool, error) {
		err := ask("600")
		return err == nil || strings.Contains(err.Error(), words), nil
	})
	s.hooks.forget("mutating")
	s.hooks.forget("validating")
	s.refused("a token", ask("600"), http.StatusForbidden, words, "admission plugin ValidatingAdmissionWebhook")
	for _, hook := range []string{"mutating", "validating"} {
		var got []string
		for _, call := range s.hooks.calls(hook) {
			got = append(got, told(call))
		}
		if want := []string{"CREATE instances/token TokenRequest object"}; !slices.Equal(got, want) {
			s.Errorf("the %s webhook was asked about %q, not %q", hook, got, want)
		}
	}

	s.hooks.set("validating", allow)
	s.judge(admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: policyRule(append(token, "instances"), admissionregistrationv1.Create),
		Validations: []admissionregistrationv1.Validation{
			{Expression: "request.?subResource.orValue('') != 'token' || object.spec.expirationSeconds <= 1200", Message: "tokens for no longer than twenty minutes"},
			{Expression: "request.?subResource.orValue('') != '' || !has(object.metadata.labels) || !('never' in object.metadata.labels)", Message: "never"},
		},
	}, admissionregistrationv1.Deny)
	never := s.instance(s.name("never"))
	never.Labels = map[string]string{"never": "true"}
	s.inForce(never, "never")
	s.refused("a long token", ask("1800"), http.StatusUnprocessableEntity, "tokens for no longer than twenty minutes", "admission plugin ValidatingAdmissionPolicy")
	if err := ask("600"); err != nil {
		s.Errorf("a token that everybody allows: %v", err)
	}
}

// boundHost makes an instance that is bound to a host, and returns how that one asks for the
// instance's token, which is to live for so many seconds.
func (s *scene) boundHost(host, instance string) func(seconds string) error {
	s.Helper()
	fleet := s.fleet.FleetV1alpha1()
	if _, err := fleet.Hosts().Create(s.Context(), &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: host}}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = fleet.Hosts().Delete(s.background(), host, metav1.DeleteOptions{}) })
	s.mustCreate(instance)
	if _, err := fleet.Instances(s.Namespace).Bind(s.Context(), instance, &v1alpha1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: instance}, Target: v1alpha1.BindingTarget{Kind: "Host", Name: host},
	}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	// A kube-apiserver knows nothing of bindings, and lets no host through: hosts ask a server.
	config := rest.CopyConfig(s.Servers[0])
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:host:" + host, Groups: []string{"system:hosts"}}
	client, _ := clients(s.T, config)
	return func(seconds string) error {
		return client.FleetV1alpha1().RESTClient().Post().Namespace(s.Namespace).Resource("instances").Name(instance).SubResource("token").
			SetHeader("Content-Type", "application/json").
			Body([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":null,"expirationSeconds":` + seconds + `}}`)).
			Do(s.Context()).Error()
	}
}
