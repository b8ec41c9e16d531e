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

package authorization

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// As in Kubernetes, rules that are aggregated to view also reach edit and admin.
func TestWhatIsLabelledForViewIsGatheredByEditAndAdminToo(t *testing.T) {
	s := harness.StartControlled(t)
	for role, resource := range map[string]string{"view": "gauges", "edit": "levers", "admin": "keys"} {
		if _, err := s.Core.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: resource, Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + role: "true"}},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{resource}, Verbs: []string{"get"}}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"view": "gauges", "edit": "gauges levers", "admin": "gauges keys levers"}
	harness.ComesTrue(t, func(ctx context.Context) string {
		for name, gathered := range want {
			role, err := s.Core.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			var got []string
			for _, rule := range role.Rules {
				if slices.Contains(rule.APIGroups, "example.com") {
					got = append(got, rule.Resources...)
				}
			}
			slices.Sort(got)
			if strings.Join(got, " ") != gathered {
				return name + " has " + strings.Join(got, " ") + ", and not " + gathered
			}
		}
		return ""
	})
}

func TestWhatIsWrongWithARoleOrABindingIsSaidByItsName(t *testing.T) {
	server := servertesting.Start(t)
	admin, jane := harness.NewRawClient(t, server.Config), harness.NewRawClient(t, harness.IssueClient(t, server, "jane"))
	const rbac = "/apis/rbac.authorization.k8s.io/v1"
	for path, body := range map[string]string{
		rbac + "/clusterroles": `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"writer"},
			"rules":[{"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","rolebindings"],"verbs":["create"]}]}`,
		rbac + "/clusterrolebindings": `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"writer"},
			"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"writer"},"subjects":[{"kind":"User","name":"jane"}]}`,
	} {
		if answer := admin.Do(t, http.MethodPost, path, "application/json", "", body); answer.Code != http.StatusCreated {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
	// The authorizer observes a grant a moment after it is stored.
	harness.ComesTrue(t, func(context.Context) string {
		answer := jane.Do(t, http.MethodPost, rbac+"/namespaces/default/roles?dryRun=All", "application/json", "", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"empty"}}`)
		if answer.Code != http.StatusCreated {
			return string(answer.Body)
		}
		return ""
	})
	const role, binding = rbac + "/namespaces/default/roles", rbac + "/namespaces/default/rolebindings"
	bindingTo := func(ref string) string {
		return `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"mine"}` + ref + `,"subjects":[{"kind":"User","name":"jane"}]}`
	}
	for _, tc := range []struct {
		name       string
		as         harness.RawClient
		path, body string
		code       int
		says       []string
	}{
		{"a role of more than one has", jane, role, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"mine"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}`,
			http.StatusForbidden, []string{`roles.rbac.authorization.k8s.io \"mine\" is forbidden`}},
		{"a binding to more than one has", jane, binding, bindingTo(`,"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"}`),
			http.StatusForbidden, []string{`rolebindings.rbac.authorization.k8s.io \"mine\" is forbidden`}},
		{"a binding to nothing, by an administrator", admin, binding, bindingTo(""), http.StatusUnprocessableEntity, []string{"roleRef.kind", "roleRef.name"}},
		{"a binding to nothing, by another user", jane, binding, bindingTo(""), http.StatusUnprocessableEntity, []string{"roleRef.kind", "roleRef.name"}},
		{"a binding to what is no role", jane, binding, bindingTo(`,"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Robot","name":"admin"}`),
			http.StatusUnprocessableEntity, []string{"roleRef.kind", "Robot"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := tc.as.Do(t, http.MethodPost, tc.path, "application/json", "", tc.body)
			if answer.Code != tc.code {
				t.Errorf("got %d, want %d", answer.Code, tc.code)
			}
			for _, says := range tc.says {
				if !strings.Contains(string(answer.Body), says) {
					t.Errorf("%s does not contain %q", answer.Body, says)
				}
			}
		})
	}
}

// A delegated server sends a token review and then an access review with the result. Bindings to
// system:authenticated have no effect if the token review omits that group.
func TestATokenReviewReturnsAllGroupsOfTheCaller(t *testing.T) {
	s := harness.StartControlled(t)
	token, err := s.Core.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	review, err := s.Core.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}; !review.Status.Authenticated || !slices.Equal(review.Status.User.Groups, want) {
		t.Errorf("the review has %+v, want the groups %v", review.Status, want)
	}
}
