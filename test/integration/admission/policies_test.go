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

package admission

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestWritingAPolicyNeedsTheRightToReadItsParameters(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.BuiltinClient(t, server)
	const author = "author"
	for resource, group := range map[string]string{"validatingadmissionpolicies": "admissionregistration.k8s.io", "configmaps": "", "hosts": "fleet.gatehouse.dev"} {
		verbs := []string{"get"}
		if group == "admissionregistration.k8s.io" {
			verbs = []string{"*"}
		}
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: author + "-" + resource}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}}}
		if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: author}},
		}
		if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kubernetes.NewForConfig(harness.IssueClient(t, server, author))
	if err != nil {
		t.Fatal(err)
	}
	policies := client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	// The last right takes effect when the informer has its binding, a moment later.
	for _, allowed := range []*admissionregistrationv1.ValidatingAdmissionPolicy{harness.PolicyOn("on-settings", "v1", "ConfigMap"), harness.PolicyOn("on-hosts", "fleet.gatehouse.dev/v1alpha1", "Host")} {
		kit.Eventually(t, allowed.Name+" is created", func(ctx context.Context) bool {
			_, err = policies.Create(ctx, allowed, metav1.CreateOptions{})
			return err == nil
		})
	}
	for name, refused := range map[string]*admissionregistrationv1.ValidatingAdmissionPolicy{
		"secrets": harness.PolicyOn("on-secrets", "v1", "Secret"), "a kind that is not served": harness.PolicyOn("on-nothing", "example.com/v1", "Thing"),
		"a version that is not served": harness.PolicyOn("on-later-hosts", "fleet.gatehouse.dev/v9", "Host"),
	} {
		if _, err := policies.Create(t.Context(), refused, metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.paramKind: Forbidden") {
			t.Errorf("a policy with parameters of %s: %v", name, err)
		}
	}
}

func TestAPolicyIsReportedOnAndCounted(t *testing.T) {
	server := servertesting.Start(t)
	policies := harness.BuiltinClient(t, server).AdmissionregistrationV1().ValidatingAdmissionPolicies()
	policy := harness.PolicyOn("reported", "v1", "ConfigMap")
	policy.Status.ObservedGeneration = 7
	created, err := policies.Create(t.Context(), policy, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if created.Generation != 1 || created.Status.ObservedGeneration != 1 || *created.Spec.FailurePolicy != admissionregistrationv1.Fail {
		t.Errorf("created as %+v", created)
	}
	changed, err := policies.Patch(t.Context(), "reported", types.MergePatchType, []byte(`{"spec":{"failurePolicy":"Ignore"},"status":{"observedGeneration":7}}`), metav1.PatchOptions{})
	if err != nil || changed.Generation != 2 || changed.Status.ObservedGeneration != 2 {
		t.Fatalf("changed to %+v, %v", changed, err)
	}
	changed.Status.ObservedGeneration = 2
	changed.Status.TypeChecking = &admissionregistrationv1.TypeChecking{ExpressionWarnings: []admissionregistrationv1.ExpressionWarning{{FieldRef: "spec.validations[0].expression", Warning: "odd"}}}
	changed.Spec.Validations[0].Expression = "false"
	reported, err := policies.UpdateStatus(t.Context(), changed, metav1.UpdateOptions{})
	if err != nil || reported.Generation != 2 || reported.Status.ObservedGeneration != 2 || len(reported.Status.TypeChecking.ExpressionWarnings) != 1 || reported.Spec.Validations[0].Expression != "params != null" {
		t.Errorf("reported on as %+v, %v", reported, err)
	}
	_, err = policies.Patch(t.Context(), "reported", types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/validations/0/expression","value":"params.data.limit >"}]`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.validations[0].expression") || !strings.Contains(err.Error(), "<input>:1:20") {
		t.Errorf("a patch to what is no CEL: %v, want 422 with field and column", err)
	}
}
