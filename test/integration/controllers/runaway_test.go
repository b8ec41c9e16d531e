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

package controllers

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/scheduler"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// onFleet matches requests for a resource of the fleet group in the namespace default.
func onFleet(resource string) *admissionregistrationv1.MatchResources {
	return &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: []string{resource}},
	}}}}
}

// stamp makes a policy change the template of every release, and waits until it is in force.
func stamp(t *testing.T, core kubernetes.Interface, client harness.FleetClient) (stop func()) {
	t.Helper()
	policies, bindings := core.AdmissionregistrationV1().MutatingAdmissionPolicies(), core.AdmissionregistrationV1().MutatingAdmissionPolicyBindings()
	if _, err := policies.Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "stamp"}, Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: onFleet("releases"), ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy, FailurePolicy: ptr.To(admissionregistrationv1.Fail),
		Mutations: []admissionregistrationv1.Mutation{{PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{
			Expression: `[JSONPatch{op: "add", path: "/spec/template/spec/tolerations", value: [Object.spec.template.spec.tolerations{operator: "Exists"}]}]`,
		}}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bindings.Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "stamp"}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "stamp"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stamped := func(ctx context.Context) (bool, error) {
		labels := map[string]string{"probe": "yes"}
		probe, err := client.FleetV1alpha1().Releases("default").Create(ctx, &v1alpha1.Release{
			ObjectMeta: metav1.ObjectMeta{Name: "probe"},
			Spec: v1alpha1.ReleaseSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && len(probe.Spec.Template.Spec.Tolerations) > 0, err
	}
	comes := func(want bool) {
		t.Helper()
		harness.ComesTrue(t, func(ctx context.Context) string {
			if is, err := stamped(ctx); err != nil || is != want {
				return fmt.Sprintf("the policy is in force: %t (%v)", is, err)
			}
			return ""
		})
	}
	comes(true)
	return func() {
		t.Helper()
		if err := bindings.Delete(t.Context(), "stamp", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		comes(false)
	}
}

func TestAReleaseThatAPolicyStampsIsNotMadeAgainAndAgain(t *testing.T) {
	s := startAppController(t)
	stop := stamp(t, s.core, s.FleetClient)
	labels := map[string]string{"app": "web"}
	if _, err := s.FleetV1alpha1().Apps("default").Create(t.Context(), &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.AppSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: v1alpha1.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		status := s.app(ctx).Status
		stalled := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionStalled)
		if stalled == nil || stalled.Status != metav1.ConditionTrue || stalled.Reason != app.ChangedReason || !strings.Contains(stalled.Message, "spec.template.spec.tolerations") {
			return fmt.Sprintf("the status does not say why: %+v", status)
		}
		events, err := s.core.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=web,reason=" + app.ChangedReason})
		if err != nil || len(events.Items) != 1 {
			return fmt.Sprintf("%d events say why (%v)", len(events.Items), err)
		}
		if events.Items[0].Count < 2 {
			return "the event has not been combined with that of the next attempt"
		}
		return ""
	})
	if releases := s.releases(t.Context()); len(releases) != 1 {
		t.Errorf("there are %d releases", len(releases))
	}
	// A change of the app is reconciled at once, also while the name of its release is taken.
	stop()
	s.patch(`{"spec":{"minReadySeconds":1}}`)
	s.progress(app.NewReleaseAvailableReason, nil)
	s.newestIs("web:1", "2", 1)
	if releases := s.releases(t.Context()); len(releases) != 2 {
		t.Errorf("there are %d releases", len(releases))
	}
}

func TestARefusedBindingIsSaidInTheConditionAndInAnEvent(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	policies := core.AdmissionregistrationV1()
	if _, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "friday"}, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: onFleet("instances/binding"), Validations: []admissionregistrationv1.Validation{{Expression: "false", Message: "not on a Friday"}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "friday"}, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: "friday", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client.CreateReadyHost(t, "a", "4")
	client.CreateInstance(t, "x", oneCore)
	instances := client.FleetV1alpha1().Instances("default")
	harness.ComesTrue(t, func(ctx context.Context) string {
		_, err := instances.Bind(ctx, "x", &v1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Target: v1alpha1.BindingTarget{Name: "nowhere"}}, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "not on a Friday") {
			return fmt.Sprintf("the policy is not in force: %v", err)
		}
		return ""
	})
	runs(t, server.Config, scheduler.New)
	harness.ComesTrue(t, func(ctx context.Context) string {
		instance, err := instances.Get(ctx, "x", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		condition := meta.FindStatusCondition(instance.Status.Conditions, v1alpha1.InstanceConditionScheduled)
		if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != "BindingRefused" || !strings.Contains(condition.Message, "not on a Friday") {
			return fmt.Sprintf("the condition is %+v", condition)
		}
		events, err := core.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=x,reason=FailedScheduling"})
		if err != nil || len(events.Items) != 1 || events.Items[0].Type != corev1.EventTypeWarning || !strings.Contains(events.Items[0].Message, "not on a Friday") {
			return fmt.Sprintf("the events are %+v (%v)", events.Items, err)
		}
		return ""
	})
	if err := policies.ValidatingAdmissionPolicyBindings().Delete(t.Context(), "friday", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		instance, err := instances.Get(ctx, "x", metav1.GetOptions{})
		if err != nil || instance.Spec.HostName != "a" || !meta.IsStatusConditionTrue(instance.Status.Conditions, v1alpha1.InstanceConditionScheduled) {
			return fmt.Sprintf("the instance is not bound: %v (%v)", instance.Status.Conditions, err)
		}
		return ""
	})
}
