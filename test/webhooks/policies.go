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
	"context"
	"net/http"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func selfReview() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} }

func (s *scene) background() context.Context { return context.WithoutCancel(s.Context()) }

// policyRule matches writes of the fleet's resources.
func policyRule(resources []string, operations ...admissionregistrationv1.OperationType) *admissionregistrationv1.MatchResources {
	return &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule(resources, operations...)[0]}}}
}

// judge stores a validating policy with its binding; inForce waits for it.
func (s *scene) judge(spec admissionregistrationv1.ValidatingAdmissionPolicySpec, actions ...admissionregistrationv1.ValidationAction) {
	s.Helper()
	name := s.name("gates")
	spec.MatchConstraints.NamespaceSelector = s.here()
	binding := admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: actions}
	if spec.ParamKind != nil {
		binding.ParamRef = &admissionregistrationv1.ParamRef{Name: name, Namespace: s.Namespace, ParameterNotFoundAction: ptr.To(admissionregistrationv1.DenyAction)}
	}
	client := s.cluster.AdmissionregistrationV1()
	if _, err := client.ValidatingAdmissionPolicies().Create(s.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = client.ValidatingAdmissionPolicies().Delete(s.background(), name, metav1.DeleteOptions{}) })
	if _, err := client.ValidatingAdmissionPolicyBindings().Create(s.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: binding}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = client.ValidatingAdmissionPolicyBindings().Delete(s.background(), name, metav1.DeleteOptions{})
	})
}

// inForce waits until every server refuses an instance in a dry run.
func (s *scene) inForce(instance *v1alpha1.Instance, words string) {
	s.Helper()
	for _, server := range s.servers {
		var last error
		s.eventually("the policy is in force at every server", func() (bool, error) {
			_, last = server.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), instance, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return last != nil && strings.Contains(last.Error(), words), nil
		})
	}
}

func registries(s *scene) {
	parameters := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.name("gates")}, Data: map[string]string{"registry": "registry.example/"}}
	if _, err := s.cluster.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), parameters, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.judge(admissionregistrationv1.ValidatingAdmissionPolicySpec{
		ParamKind:        &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
		MatchConstraints: policyRule([]string{"instances"}, admissionregistrationv1.Create, admissionregistrationv1.Update),
		Validations: []admissionregistrationv1.Validation{{
			Expression:        "object.spec.containers.all(c, c.image.startsWith(params.data.registry))",
			MessageExpression: "'images must come from ' + params.data.registry",
			Reason:            ptr.To(metav1.StatusReasonForbidden),
		}},
	}, admissionregistrationv1.Deny)
	stranger := s.instance(s.name("stranger"))
	stranger.Spec.Containers[0].Image = "elsewhere.example/web:1"
	const words = "images must come from registry.example/"
	s.inForce(stranger, words)
	_, err := s.create(stranger)
	s.refused("a create", err, http.StatusForbidden, "ValidatingAdmissionPolicy '"+s.name("gates")+"'", words)
	created := s.mustCreate(s.name("native"))
	_, err = s.fleet.FleetV1alpha1().Instances(s.Namespace).Patch(s.Context(), created.Name, types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"elsewhere.example/web:2"}]`), metav1.PatchOptions{})
	s.refused("a patch", err, http.StatusForbidden, words)
	created.Spec.Containers[0].Image = "registry.example/web:2"
	if _, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).Update(s.Context(), created, metav1.UpdateOptions{}); err != nil {
		s.Errorf("an update that the policy allows: %v", err)
	}
}

func subresources(s *scene) {
	s.judge(admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: policyRule([]string{"apps/scale", "instances/binding", "instances", "apps/rollback"}, admissionregistrationv1.OperationAll),
		Validations: []admissionregistrationv1.Validation{
			{Expression: "request.?subResource.orValue('') != 'scale' || object.spec.replicas <= 3", Message: "no more than three"},
			{Expression: "request.?subResource.orValue('') != 'binding' || object.target.name != 'forbidden'", Message: "not on this host"},
			{Expression: "request.?subResource.orValue('') != 'rollback' || object.toRevision != 1", Message: "not back to the first"},
			{Expression: "request.operation != 'DELETE' || !has(oldObject.metadata.labels) || !('keep' in oldObject.metadata.labels)", Message: "it is kept"},
			{Expression: "request.operation != 'CREATE' || request.?subResource.orValue('') != '' || !has(object.metadata.labels) || !('never' in object.metadata.labels)", Message: "never"},
		},
	}, admissionregistrationv1.Deny)
	never := s.instance(s.name("never"))
	never.Labels = map[string]string{"never": "true"}
	s.inForce(never, "never")
	ctx, client := s.Context(), s.fleet.FleetV1alpha1()
	app, err := client.Apps(s.Namespace).Create(ctx, s.app("web:1"), metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = client.Apps(s.Namespace).Delete(s.background(), app.Name, metav1.DeleteOptions{}) })
	scale, err := client.Apps(s.Namespace).GetScale(ctx, app.Name, metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	scale.Spec.Replicas = 4
	_, err = client.Apps(s.Namespace).UpdateScale(ctx, app.Name, scale, metav1.UpdateOptions{})
	s.refused("scaling", err, http.StatusUnprocessableEntity, "no more than three")
	_, err = client.Apps(s.Namespace).Rollback(ctx, app.Name, &v1alpha1.AppRollback{ToRevision: 1}, metav1.CreateOptions{})
	s.refused("a rollback", err, http.StatusUnprocessableEntity, "not back to the first")
	kept := s.instance(s.name("kept"))
	kept.Labels = map[string]string{"keep": "true"}
	if kept, err = s.create(kept); err != nil {
		s.Fatal(err)
	}
	_, err = client.Instances(s.Namespace).Bind(ctx, kept.Name, &v1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: kept.Name}, Target: v1alpha1.BindingTarget{Kind: "Host", Name: "forbidden"}}, metav1.CreateOptions{})
	s.refused("a binding", err, http.StatusUnprocessableEntity, "not on this host")
	s.refused("a delete", client.Instances(s.Namespace).Delete(ctx, kept.Name, metav1.DeleteOptions{}), http.StatusUnprocessableEntity, "it is kept", "admission plugin ValidatingAdmissionPolicy")
}

func warns(s *scene) {
	s.judge(admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: policyRule([]string{"instances"}, admissionregistrationv1.Create),
		Validations:      []admissionregistrationv1.Validation{{Expression: "has(object.metadata.labels)", Message: "labels help to find it"}},
	}, admissionregistrationv1.Warn)
	for _, server := range append([]*rest.Config{s.Admin}, s.Servers...) {
		said := &warnings{}
		config := rest.CopyConfig(server)
		config.WarningHandler = said
		client, _ := clients(s.T, config)
		s.eventually("the caller is warned", func() (bool, error) {
			_, err := client.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), s.instance(s.name("warned")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return strings.Contains(said.all(), "labels help to find it"), err
		})
	}
}

// change stores a mutating policy with its binding.
func (s *scene) change(constraints *admissionregistrationv1.MatchResources, mutations ...admissionregistrationv1.Mutation) {
	s.Helper()
	name := s.name("gates")
	client := s.cluster.AdmissionregistrationV1()
	constraints.NamespaceSelector = s.here()
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: constraints, ReinvocationPolicy: admissionregistrationv1.IfNeededReinvocationPolicy, Mutations: mutations,
	}}
	if _, err := client.MutatingAdmissionPolicies().Create(s.Context(), policy, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = client.MutatingAdmissionPolicies().Delete(s.background(), name, metav1.DeleteOptions{}) })
	if _, err := client.MutatingAdmissionPolicyBindings().Create(s.Context(), &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name}}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = client.MutatingAdmissionPolicyBindings().Delete(s.background(), name, metav1.DeleteOptions{})
	})
}

func addsLabel(s *scene) {
	s.change(policyRule([]string{"instances"}, admissionregistrationv1.Create, admissionregistrationv1.Update),
		admissionregistrationv1.Mutation{PatchType: admissionregistrationv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: `Object{metadata: Object.metadata{labels: {"team": "gates"}}}`}},
		admissionregistrationv1.Mutation{PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{Expression: `[JSONPatch{op: "add", path: "/spec/containers/0/env", value: [Object.spec.containers.env{name: "TEAM", value: "gates"}]}]`}},
	)
	for _, server := range s.servers {
		s.eventually("the policy is in force at every server", func() (bool, error) {
			made, err := server.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), s.instance(s.name("probe")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err == nil && made.Labels["team"] == "gates", err
		})
	}
	created := s.mustCreate(s.name("labelled"))
	if env := created.Spec.Containers[0].Env; created.Labels["team"] != "gates" || len(env) != 1 || env[0].Value != "gates" {
		s.Errorf("labels %v, environment %v", created.Labels, env)
	}
}
