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

package rbac

import (
	"context"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

func subjects(list ...rbacv1.Subject) []rbacv1.Subject { return list }

func userSubject(name string) rbacv1.Subject  { return rbacv1.Subject{Kind: "User", Name: name} }
func groupSubject(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }

func clusterRef(name string) rbacv1.RoleRef { return rbacv1.RoleRef{Kind: kindClusterRole, Name: name} }
func roleRef(name string) rbacv1.RoleRef    { return rbacv1.RoleRef{Kind: kindRole, Name: name} }

// newTestAuthorizer returns an authorizer with some roles; tests bind them.
func newTestAuthorizer() *Authorizer {
	a := &Authorizer{index: newIndex()}
	for name, rules := range map[string][]rbacv1.PolicyRule{
		"reader":  {rule(read, "", "secrets")},
		"one":     {{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"one"}}},
		"status":  {rule([]string{"update"}, fleet, "*/status")},
		"metrics": {paths("/metrics", "/debug/*")},
	} {
		a.index.setClusterRole(name, &roleVersion{rules: rules})
	}
	return a
}

func get(resource, namespace, name string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{Verb: "get", Resource: resource, Namespace: namespace, Name: name, ResourceRequest: true}
}

func (a *Authorizer) allows(t *testing.T, u user.Info, attributes authorizer.AttributesRecord) (bool, string) {
	t.Helper()
	attributes.User = u
	decision, reason, err := a.Authorize(t.Context(), attributes)
	if err != nil || decision == authorizer.DecisionDeny {
		t.Fatalf("decided %v with %v: RBAC allows or has no opinion", decision, err)
	}
	return decision == authorizer.DecisionAllow, reason
}

var alice = &user.DefaultInfo{Name: "alice", Groups: []string{"dev", user.AllAuthenticated}}

func TestABindingGrantsItsRoleWhereItStands(t *testing.T) {
	robot := &user.DefaultInfo{Name: "system:serviceaccount:a:robot"}
	for _, row := range []struct {
		name      string
		namespace string // of the binding; empty for a cluster role binding
		subjects  []rbacv1.Subject
		ref       rbacv1.RoleRef
		user      user.Info
		request   authorizer.AttributesRecord
		reason    string // empty if it is not allowed
	}{
		{"a user in the cluster", "", subjects(userSubject("alice")), clusterRef("reader"), alice, get("secrets", "a", "x"), `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to User "alice"`},
		{"a group in the cluster", "", subjects(groupSubject("dev")), clusterRef("reader"), alice, get("secrets", "", "x"), `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "dev"`},
		{"the first subject is the reason", "", subjects(groupSubject("dev"), userSubject("alice")), clusterRef("reader"), alice, get("secrets", "", "x"), `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "dev"`},
		{"a user in a namespace", "a", subjects(userSubject("alice")), clusterRef("reader"), alice, get("secrets", "a", "x"), `RBAC: allowed by RoleBinding "b/a" of ClusterRole "reader" to User "alice"`},
		{"a service account of the binding's namespace", "a", subjects(rbacv1.Subject{Kind: "ServiceAccount", Name: "robot"}), clusterRef("reader"), robot, get("secrets", "a", "x"), `RBAC: allowed by RoleBinding "b/a" of ClusterRole "reader" to ServiceAccount "robot/a"`},
		{"a path", "", subjects(userSubject("alice")), clusterRef("metrics"), alice, authorizer.AttributesRecord{Verb: "get", Path: "/debug/pprof/heap"}, `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "metrics" to User "alice"`},
		{"one name", "", subjects(userSubject("alice")), clusterRef("one"), alice, get("secrets", "a", "one"), `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "one" to User "alice"`},

		{"another namespace", "b", subjects(userSubject("alice")), clusterRef("reader"), alice, get("secrets", "a", "x"), ""},
		{"the cluster, by a binding of a namespace", "a", subjects(userSubject("alice")), clusterRef("reader"), alice, get("secrets", "", "x"), ""},
		{"another name", "", subjects(userSubject("alice")), clusterRef("one"), alice, get("secrets", "a", "two"), ""},
		{"a list where one name is granted", "", subjects(userSubject("alice")), clusterRef("one"), alice, get("secrets", "a", ""), ""},
		{"a subresource of what is granted", "", subjects(userSubject("alice")), clusterRef("reader"), alice, authorizer.AttributesRecord{Verb: "get", Resource: "secrets", Subresource: "status", ResourceRequest: true}, ""},
		{"a group named as a user", "", subjects(userSubject("dev")), clusterRef("reader"), alice, get("secrets", "", "x"), ""},
		{"a user named as a group", "", subjects(groupSubject("alice")), clusterRef("reader"), alice, get("secrets", "", "x"), ""},
		{"a service account without a namespace in a binding of the cluster", "", subjects(rbacv1.Subject{Kind: "ServiceAccount", Name: "robot"}), clusterRef("reader"), robot, get("secrets", "a", "x"), ""},
		{"a service account of another namespace", "b", subjects(rbacv1.Subject{Kind: "ServiceAccount", Name: "robot"}), clusterRef("reader"), robot, get("secrets", "b", "x"), ""},
		{"a path by a binding of a namespace", "a", subjects(userSubject("alice")), clusterRef("metrics"), alice, authorizer.AttributesRecord{Verb: "get", Path: "/metrics"}, ""},
		{"a path by a rule about resources", "", subjects(userSubject("alice")), clusterRef("reader"), alice, authorizer.AttributesRecord{Verb: "get", Path: "/secrets"}, ""},
		{"a subject of an unknown kind", "", subjects(rbacv1.Subject{Kind: "Robot", Name: "alice"}), clusterRef("reader"), alice, get("secrets", "", "x"), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := newTestAuthorizer()
			a.index.setRoleBinding(objectKey{row.namespace, "b"}, row.subjects, row.ref, &diagnostics.Object{})
			allowed, reason := a.allows(t, row.user, row.request)
			if allowed != (row.reason != "") || allowed && reason != row.reason {
				t.Errorf("allowed: %v, because %q; wanted %q", allowed, reason, row.reason)
			}
		})
	}
}

func TestARevokedRightIsGoneAtOnce(t *testing.T) {
	a := newTestAuthorizer()
	key := objectKey{"", "b"}
	request := get("secrets", "", "x")
	expect := func(step string, want bool) {
		t.Helper()
		if got, reason := a.allows(t, alice, request); got != want {
			t.Errorf("%s: allowed is %v (%s)", step, got, reason)
		}
	}
	a.index.setRoleBinding(key, subjects(userSubject("alice"), groupSubject("dev")), clusterRef("later"), &diagnostics.Object{})
	expect("before the role exists", false)
	if _, reason := a.allows(t, alice, request); !strings.Contains(reason, `"later" not found`) {
		t.Errorf("the missing role is not a part of the reason: %q", reason)
	}
	rules := []rbacv1.PolicyRule{rule(read, "", "secrets")}
	a.index.setClusterRole("later", &roleVersion{rules: rules})
	expect("when the role has come", true)
	none := []rbacv1.PolicyRule{}
	a.index.setClusterRole("later", &roleVersion{rules: none})
	expect("when the role lost its rules", false)
	a.index.setClusterRole("later", &roleVersion{rules: rules})
	a.index.setRoleBinding(key, subjects(userSubject("bob")), clusterRef("later"), &diagnostics.Object{})
	expect("when the binding names others", false)
	a.index.setRoleBinding(key, subjects(groupSubject("dev")), clusterRef("later"), &diagnostics.Object{})
	expect("when the binding names the group", true)
	a.index.setClusterRole("later", nil)
	expect("when the role is gone", false)
	a.index.setClusterRole("later", &roleVersion{rules: rules})
	a.index.deleteRoleBinding(key)
	expect("when the binding is gone", false)
	a.index.setClusterRole("later", nil)
	if len(a.index.bySubject) != 0 || len(a.index.roleBindings) != 0 || a.index.clusterRoles["later"] != nil {
		t.Errorf("something is remembered of what is gone: %+v", a.index)
	}
}

func TestRulesOfAUserComeOnceFromEachBinding(t *testing.T) {
	a := newTestAuthorizer()
	a.index.setRoleBinding(objectKey{"", "b"}, subjects(userSubject("alice"), groupSubject("dev")), clusterRef("reader"), &diagnostics.Object{})
	a.index.setRoleBinding(objectKey{"a", "c"}, subjects(groupSubject("dev")), clusterRef("one"), &diagnostics.Object{})
	a.index.setRoleBinding(objectKey{"a", "d"}, subjects(groupSubject("dev")), roleRef("missing"), &diagnostics.Object{})
	rules, err := a.RulesOf(alice, "a")
	if len(rules) != 2 || err == nil {
		t.Errorf("%d rules and error %v, wanted 2 and one for the missing role", len(rules), err)
	}
	if rules, err := a.RulesOf(alice, "elsewhere"); len(rules) != 1 || err != nil {
		t.Errorf("elsewhere: %d rules, %v", len(rules), err)
	}
}

func TestUsersGrantOnlyRightsThatTheyHold(t *testing.T) {
	a := newTestAuthorizer()
	a.index.setRoleBinding(objectKey{"a", "b"}, subjects(userSubject("alice")), clusterRef("reader"), &diagnostics.Object{})
	verbs := []rbacv1.PolicyRule{{Verbs: []string{"bind", "escalate"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{"reader", "special"}}}
	a.index.setClusterRole("lifts", &roleVersion{rules: verbs})
	a.index.setRoleBinding(objectKey{"", "lifted"}, subjects(userSubject("carol")), clusterRef("lifts"), &diagnostics.Object{})
	e, err := NewEscalation(a, a)
	if err != nil {
		t.Fatal(err)
	}
	as := func(name string, groups ...string) context.Context {
		return apirequest.WithUser(t.Context(), &user.DefaultInfo{Name: name, Groups: groups})
	}
	held, more := []rbacv1.PolicyRule{rule([]string{"get"}, "", "secrets")}, []rbacv1.PolicyRule{rule([]string{"delete"}, "", "secrets")}
	for _, row := range []struct {
		name string
		got  error
		want string // empty if it is allowed
	}{
		{"what is held, in its namespace", e.MayWriteRules(as("alice"), "roles", "a", "x", held), ""},
		{"what is held, elsewhere", e.MayWriteRules(as("alice"), "roles", "b", "x", held), "not currently held"},
		{"what is held in a namespace, in the cluster", e.MayWriteRules(as("alice"), "clusterroles", "", "x", held), "not currently held"},
		{"more than is held", e.MayWriteRules(as("alice"), "roles", "a", "x", more), `{APIGroups:[""], Resources:["secrets"], Verbs:["delete"]}`},
		{"nothing", e.MayWriteRules(as("nobody"), "roles", "a", "x", nil), ""},
		{"anything, as an administrator", e.MayWriteRules(as("root", user.SystemPrivilegedGroup), "clusterroles", "", "x", more), ""},
		{"anything, with escalate on the role", e.MayWriteRules(as("carol"), "clusterroles", "", "special", more), ""},
		{"anything, with escalate on another role", e.MayWriteRules(as("carol"), "clusterroles", "", "x", more), "not currently held"},
		{"a binding to what is held", e.MayBind(as("alice"), "a", clusterRef("reader")), ""},
		{"a binding to what is not held", e.MayBind(as("alice"), "a", clusterRef("metrics")), "not currently held"},
		{"a binding with the verb bind", e.MayBind(as("carol"), "a", clusterRef("reader")), ""},
		{"a binding to what is unknown", e.MayBind(as("alice"), "a", clusterRef("unknown")), "not found"},
		{"a binding to an unknown kind is left to the validation", e.MayBind(as("alice"), "a", rbacv1.RoleRef{Kind: "Robot", Name: "x"}), ""},
		{"without a user", e.MayWriteRules(t.Context(), "roles", "a", "x", nil), "no authenticated user"},
	} {
		if (row.got == nil) != (row.want == "") || row.got != nil && !strings.Contains(row.got.Error(), row.want) {
			t.Errorf("%s: %v, wanted %q", row.name, row.got, row.want)
		}
	}
	if err := e.MayBind(as("alice"), "a", clusterRef("unknown")); !apierrors.IsNotFound(err) {
		t.Errorf("a missing role is %v, not NotFound", err)
	}
	if _, err := NewEscalation(nil, a); err == nil {
		t.Error("made without rules")
	}
}
