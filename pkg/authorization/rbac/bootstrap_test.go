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
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// controllerRoles has a controller with rights in all namespaces, and one with rights in one.
var controllerRoles = []UserRole{
	{User: "system:controller:x", Rules: []rbacv1.PolicyRule{rule([]string{"get"}, fleet, "apps")}},
	{User: "system:controller:y", Namespace: "kube-system", Rules: []rbacv1.PolicyRule{rule([]string{"delete"}, "", "secrets")}},
}

func bootstrapped(t *testing.T) *Authorizer {
	t.Helper()
	a := &Authorizer{index: newIndex()}
	for _, object := range BootstrapObjects(controllerRoles) {
		switch o := object.Object.(type) {
		case *rbacv1.ClusterRole:
			a.index.setClusterRole(o.Name, &roleVersion{rules: o.Rules})
		case *rbacv1.ClusterRoleBinding:
			a.index.setRoleBinding(objectKey{"", o.Name}, o.Subjects, o.RoleRef, &diagnostics.Object{})
		case *rbacv1.Role:
			a.index.setRole(objectKey{o.Namespace, o.Name}, &roleVersion{rules: o.Rules})
		case *rbacv1.RoleBinding:
			a.index.setRoleBinding(objectKey{o.Namespace, o.Name}, o.Subjects, o.RoleRef, &diagnostics.Object{})
		default:
			t.Errorf("%T is nothing to start with", o)
		}
	}
	return a
}

func TestTheDefaultBindings(t *testing.T) {
	a := bootstrapped(t)
	known, anonymous := &user.DefaultInfo{Name: "x", Groups: []string{user.AllAuthenticated}}, &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}
	robot := &user.DefaultInfo{Name: "system:serviceaccount:a:b", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:a", user.AllAuthenticated}}
	create := func(group, resource string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: "create", APIGroup: group, Resource: resource, ResourceRequest: true}
	}
	path := func(p string) authorizer.AttributesRecord { return authorizer.AttributesRecord{Verb: "get", Path: p} }
	for _, row := range []struct {
		name    string
		user    user.Info
		request authorizer.AttributesRecord
		want    bool
	}{
		{"an authenticated user discovers", known, path("/apis/fleet.gatehouse.dev/v1alpha1"), true},
		{"an authenticated user reads OpenAPI", known, path("/openapi/v3"), true},
		{"an authenticated user reviews its own rights", known, create("authorization.k8s.io", "selfsubjectaccessreviews"), true},
		{"an authenticated user reviews itself", known, create("authentication.k8s.io", "selfsubjectreviews"), true},
		{"an authenticated user does not review others", known, create("authorization.k8s.io", "subjectaccessreviews"), false},
		{"an authenticated user reads no metrics", known, path("/metrics"), false},
		{"an authenticated user lists no namespaces", known, get("namespaces", "", ""), false},
		{"an anonymous user discovers nothing", anonymous, path("/apis"), false},
		{"a service account finds the issuer's keys", robot, path("/openid/v1/jwks"), true},
		{"a user does not", known, path("/openid/v1/jwks"), false},
		{"a service account reads trust bundles", robot, authorizer.AttributesRecord{Verb: "list", APIGroup: certificates, Resource: "clustertrustbundles", ResourceRequest: true}, true},
		{"a service account creates none", robot, create(certificates, "clustertrustbundles"), false},
		{"a user reads no trust bundles", known, authorizer.AttributesRecord{Verb: "list", APIGroup: certificates, Resource: "clustertrustbundles", ResourceRequest: true}, false},
		{"an administrator may everything", &user.DefaultInfo{Name: "x", Groups: []string{user.SystemPrivilegedGroup}}, create("any", "thing"), true},
	} {
		if got, reason := a.allows(t, row.user, row.request); got != row.want {
			t.Errorf("%s: %v (%s)", row.name, got, reason)
		}
	}
}

func TestAControllerHasItsRightsWhereItNeedsThem(t *testing.T) {
	a := bootstrapped(t)
	everywhere, inOne := &user.DefaultInfo{Name: "system:controller:x"}, &user.DefaultInfo{Name: "system:controller:y"}
	on := func(verb, group, resource, namespace string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: verb, APIGroup: group, Resource: resource, Namespace: namespace, ResourceRequest: true}
	}
	for _, row := range []struct {
		name    string
		user    user.Info
		request authorizer.AttributesRecord
		want    bool
	}{
		{"a controller of all namespaces", everywhere, on("get", fleet, "apps", "a"), true},
		{"a controller of one namespace in it", inOne, on("delete", "", "secrets", "kube-system"), true},
		{"a controller of one namespace in another", inOne, on("delete", "", "secrets", "default"), false},
		{"a controller of one namespace in all of them", inOne, on("delete", "", "secrets", ""), false},
		{"a controller of one namespace discovers", inOne, authorizer.AttributesRecord{Verb: "get", Path: "/apis"}, true},
	} {
		if got, reason := a.allows(t, row.user, row.request); got != row.want {
			t.Errorf("%s: %v (%s)", row.name, got, reason)
		}
	}
}

// The chapters of view, edit and admin: each includes the one before, and a user has no more than
// a namespace.
func TestTheUserFacingRolesGrow(t *testing.T) {
	a := bootstrapped(t)
	bob := &user.DefaultInfo{Name: "bob"}
	attributes := func(verb, group, resource string) authorizer.AttributesRecord {
		resource, subresource, _ := strings.Cut(resource, "/")
		return authorizer.AttributesRecord{Verb: verb, APIGroup: group, Resource: resource, Subresource: subresource, Namespace: "a", Name: "x", ResourceRequest: true}
	}
	for _, row := range []struct {
		request authorizer.AttributesRecord
		roles   []string
	}{
		{attributes("list", fleet, "instances"), []string{"view", "edit", "admin"}},
		{attributes("get", "", "configmaps"), []string{"view", "edit", "admin"}},
		{attributes("get", "", "secrets"), []string{"edit", "admin"}},
		{attributes("delete", fleet, "instances"), []string{"edit", "admin"}},
		{attributes("create", "", "serviceaccounts/token"), []string{"edit", "admin"}},
		{attributes("create", rbacv1.GroupName, "rolebindings"), []string{"admin"}},
		{attributes("escalate", rbacv1.GroupName, "roles"), nil},
		{attributes("bind", rbacv1.GroupName, "clusterroles"), nil},
		{attributes("impersonate", "", "serviceaccounts"), nil},
		{attributes("create", fleet, "instances/binding"), nil},
		{attributes("create", fleet, "instances/token"), nil},
		{attributes("patch", fleet, "instances/status"), nil},
		{attributes("create", "", "resourcequotas"), nil},
		{attributes("delete", "", "namespaces"), nil},
		{attributes("create", fleet, "hosts"), nil},
	} {
		for _, role := range []string{"view", "edit", "admin"} {
			a.index.setRoleBinding(objectKey{"a", "b"}, subjects(userSubject("bob")), clusterRef(role), &diagnostics.Object{})
			if got, _ := a.allows(t, bob, row.request); got != slices.Contains(row.roles, role) {
				t.Errorf("%s: %s %s/%s is %v", role, row.request.Verb, row.request.Resource, row.request.Subresource, got)
			}
		}
	}
}

func TestAStoredRoleGetsMissingRulesUnlessItIsExcludedFromUpdates(t *testing.T) {
	for _, object := range BootstrapObjects(controllerRoles) {
		if object.Reconcile(object.Object.DeepCopyObject()) {
			t.Errorf("%v: what is as it should be was changed", object.Object)
		}
		switch wanted := object.Object.(type) {
		case *rbacv1.ClusterRole:
			stored := wanted.DeepCopy()
			stored.Labels = nil
			stored.Rules = append(stored.Rules[:0:0], rule([]string{"get"}, "own", "things"))
			if !object.Reconcile(stored) || stored.Labels["kubernetes.io/bootstrapping"] == "" {
				t.Errorf("%s was left as it was", wanted.Name)
			}
			if stored.Rules[0].APIGroups[0] != "own" || wanted.AggregationRule == nil && len(stored.Rules) < 2 {
				t.Errorf("%s has the rules %v", wanted.Name, stored.Rules)
			}
			theirs := wanted.DeepCopy()
			theirs.Annotations[rbacv1.AutoUpdateAnnotationKey], theirs.Rules = "false", nil
			if object.Reconcile(theirs) || theirs.Rules != nil {
				t.Errorf("%s was changed, although it is excluded from updates", wanted.Name)
			}
		case *rbacv1.ClusterRoleBinding:
			stored := wanted.DeepCopy()
			stored.Subjects = subjects(userSubject("own"))
			if !object.Reconcile(stored) || len(stored.Subjects) != 1+len(wanted.Subjects) {
				t.Errorf("%s has the subjects %v", wanted.Name, stored.Subjects)
			}
			stored.RoleRef.Name, stored.Subjects = "other", nil
			if object.Reconcile(stored) {
				t.Errorf("%s was changed, although it is bound to another role", wanted.Name)
			}
		case *rbacv1.Role:
			stored := wanted.DeepCopy()
			stored.Rules = []rbacv1.PolicyRule{rule([]string{"get"}, "own", "things")}
			if !object.Reconcile(stored) || len(stored.Rules) != 1+len(wanted.Rules) || stored.Rules[0].APIGroups[0] != "own" {
				t.Errorf("%s has the rules %v", wanted.Name, stored.Rules)
			}
		case *rbacv1.RoleBinding:
			stored := wanted.DeepCopy()
			stored.Subjects = nil
			if !object.Reconcile(stored) || len(stored.Subjects) != len(wanted.Subjects) {
				t.Errorf("%s has the subjects %v", wanted.Name, stored.Subjects)
			}
		}
	}
}
