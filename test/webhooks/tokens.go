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

package webhooks

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// tokens requests the token of an instance as its host.
func tokens(s *scene) {
	ask := s.boundHost(s.name("edge"), s.name("bound"))
	token := []string{"instances/token"}
	s.hooks.set("mutating", allow)
	s.hooks.set("validating", deny("no tokens today"))
	s.mutate(admissionregistrationv1.MutatingWebhook{Name: "token.gates.example.com", ClientConfig: s.hooks.client("mutating"), Rules: rule(token, admissionregistrationv1.Create)})
	s.validate(admissionregistrationv1.ValidatingWebhook{Name: "token.gates.example.com", ClientConfig: s.hooks.client("validating"), Rules: rule(token, admissionregistrationv1.Create)})
	const words = `admission webhook "token.gates.example.com" denied the request: no tokens today`
	s.eventually("the host is known as the one to which the instance is bound", func() (bool, error) {
		_, err := ask(600)
		return err == nil || strings.Contains(err.Error(), words), nil
	})
	s.hooks.forget("mutating")
	s.hooks.forget("validating")
	_, err := ask(600)
	s.refused("a token", err, http.StatusForbidden, words, "admission plugin ValidatingAdmissionWebhook")
	for _, hook := range []string{"mutating", "validating"} {
		var got []string
		for _, call := range s.hooks.calls(hook) {
			got = append(got, told(call))
		}
		if want := []string{"CREATE instances/token TokenRequest object"}; !slices.Equal(got, want) {
			s.Errorf("the %s webhook was called for %q, not %q", hook, got, want)
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
	_, err = ask(1800)
	s.refused("a long token", err, http.StatusUnprocessableEntity, "tokens for no longer than twenty minutes", "admission plugin ValidatingAdmissionPolicy")
	if _, err := ask(600); err != nil {
		s.Errorf("a token that all webhooks allow: %v", err)
	}
}

// boundHost creates an instance that is bound to a host, and returns a function with which the host
// requests the instance's token for a number of seconds.
func (s *scene) boundHost(host, instance string) func(seconds int64) (*authenticationv1.TokenRequest, error) {
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
	// A kube-apiserver has no authorizer of hosts, so hosts connect to a server directly.
	config := rest.CopyConfig(s.Servers[0])
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:host:" + host, Groups: []string{"system:hosts"}}
	client, _ := clients(s.T, config)
	return func(seconds int64) (*authenticationv1.TokenRequest, error) {
		body, err := json.Marshal(&authenticationv1.TokenRequest{
			TypeMeta: metav1.TypeMeta{Kind: "TokenRequest", APIVersion: authenticationv1.SchemeGroupVersion.String()},
			Spec:     authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
		})
		if err != nil {
			return nil, err
		}
		result := client.FleetV1alpha1().RESTClient().Post().Namespace(s.Namespace).Resource("instances").Name(instance).SubResource("token").
			SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body(body).Do(s.Context())
		if err := result.Error(); err != nil {
			return nil, err
		}
		data, err := result.Raw()
		if err != nil {
			return nil, err
		}
		// The fleet's client does not have this kind.
		given := &authenticationv1.TokenRequest{}
		return given, json.Unmarshal(data, given)
	}
}

// borrowed runs a policy that changes kinds of other groups on endpoints of the fleet.
func borrowed(s *scene) {
	s.change(policyRule([]string{"apps/scale"}, admissionregistrationv1.Update), admissionregistrationv1.Mutation{
		PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
		ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: `Object{spec: Object.spec{replicas: 2}}`},
	})
	s.within(s.T).change(policyRule([]string{"instances/token"}, admissionregistrationv1.Create), admissionregistrationv1.Mutation{
		PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
		ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: `Object{spec: Object.spec{expirationSeconds: 700}}`},
	})
	app, err := s.fleet.FleetV1alpha1().Apps(s.Namespace).Create(s.Context(), s.app("web:1"), metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = s.fleet.FleetV1alpha1().Apps(s.Namespace).Delete(s.background(), app.Name, metav1.DeleteOptions{})
	})
	for _, server := range s.servers {
		apps := server.FleetV1alpha1().Apps(s.Namespace)
		s.eventually("the policy for scales is in force at every server", func() (bool, error) {
			scale, err := apps.GetScale(s.Context(), app.Name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			scale.Spec.Replicas = 1
			scaled, err := apps.UpdateScale(s.Context(), app.Name, scale, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			return err == nil && scaled.Spec.Replicas == 2, err
		})
	}
	ask := s.boundHost(s.name("edge"), s.name("bound"))
	s.eventually("the policy for tokens is in force", func() (bool, error) {
		given, err := ask(600)
		if apierrors.IsForbidden(err) {
			return false, nil // the binding is not in effect yet
		}
		return err == nil && given.Spec.ExpirationSeconds != nil && *given.Spec.ExpirationSeconds == 700, err
	})
}
