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

package manifests

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/delegation"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// upstreamRoles are the cluster's own roles that are bound here: bootstrappolicy/policy.go
// and namespace_policy.go in Kubernetes.
var upstreamRoles = map[string][]rbacv1.PolicyRule{
	"ClusterRole/system:auth-delegator": {
		{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}},
		{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}},
	},
	"Role/extension-apiserver-authentication-reader": {
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"extension-apiserver-authentication"}},
	},
}

// checkRBAC compares the rights of the ServiceAccount with the rights that the server needs.
func checkRBAC(t *testing.T, r rendered, o options.CompletedOptions) {
	type grant struct{ verb, group, resource, namespace, name string }
	need := sets.New[grant]()
	for _, n := range delegation.Needs(o.AdmissionPlugins(), !o.Cluster.NoTokenReview) {
		for _, verb := range n.Verbs {
			need.Insert(grant{verb, n.Resource.Group, n.Resource.Resource, n.Namespace, n.Object})
		}
	}
	roles := map[string][]rbacv1.PolicyRule{}
	for name, rules := range upstreamRoles {
		roles[name] = rules
	}
	for _, role := range every[*rbacv1.ClusterRole](r) {
		roles["ClusterRole/"+role.Name] = role.Rules
	}
	granted := sets.New[grant]()
	bind := func(in string, subjects []rbacv1.Subject, ref rbacv1.RoleRef) {
		if slices.Equal(subjects, everyUser) {
			checkEveryUser(t, roles[ref.Kind+"/"+ref.Name])
			return
		}
		if want := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}}; !slices.Equal(subjects, want) {
			t.Errorf("%s is bound to %v and not to the ServiceAccount alone", ref.Name, subjects)
		}
		rules, ok := roles[ref.Kind+"/"+ref.Name]
		if !ok {
			t.Errorf("%s %s is bound and not known", ref.Kind, ref.Name)
		}
		for _, rule := range rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						for _, name := range names {
							granted.Insert(grant{verb, group, resource, in, name})
						}
					}
				}
			}
		}
	}
	for _, binding := range every[*rbacv1.ClusterRoleBinding](r) {
		bind("", binding.Subjects, binding.RoleRef)
	}
	for _, binding := range every[*rbacv1.RoleBinding](r) {
		bind(binding.Namespace, binding.Subjects, binding.RoleRef)
	}
	for missing := range need.Difference(granted) {
		t.Errorf("the server needs %+v, and rbac.yaml does not grant it", missing)
	}
	for extra := range granted.Difference(need) {
		t.Errorf("rbac.yaml grants %+v, and the server does not need it", extra)
	}
	if sa := one[*corev1.ServiceAccount](t, r); sa.Name != account || sa.Namespace != namespace {
		t.Errorf("the ServiceAccount is %s/%s", sa.Namespace, sa.Name)
	}
}

var everyUser = []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: user.AllAuthenticated}}

// checkEveryUser checks that the rights of every user are about its own traces and links.
func checkEveryUser(t *testing.T, rules []rbacv1.PolicyRule) {
	t.Helper()
	for _, rule := range rules {
		if !slices.Equal(rule.APIGroups, []string{diagnosticsv1alpha1.GroupName}) || slices.Contains(rule.Verbs, diagnosticsv1alpha1.VerbReadAll) {
			t.Errorf("every user gets %+v", rule)
		}
	}
}

// permissionsOf returns the permissions of a role as "verb resource".
func permissionsOf(t *testing.T, role *rbacv1.ClusterRole) sets.Set[string] {
	t.Helper()
	can := sets.New[string]()
	for _, rule := range role.Rules {
		if !slices.Equal(rule.APIGroups, []string{v1alpha1.GroupName}) {
			t.Errorf("it is about %v", rule.APIGroups)
		}
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				can.Insert(verb + " " + resource)
			}
		}
	}
	return can
}

func TestRolesForUsersJoinThoseOfTheCluster(t *testing.T) {
	const prefix = "rbac.authorization.k8s.io/aggregate-to-"
	reads := []string{"get", "list", "watch"}
	written := []string{"apps", "apps/rollback", "apps/scale", "instances", "instances/attach", "instances/exec", "instances/portforward", "releases", "releases/scale"}
	roles := map[string]*rbacv1.ClusterRole{}
	for _, role := range every[*rbacv1.ClusterRole](render(t, overlays[0])) {
		roles[role.Name] = role
	}
	for _, test := range []struct {
		name, joins string
		writes      bool
	}{{"gatehouse:view", "view", false}, {"gatehouse:edit", "edit", true}, {"gatehouse:admin", "admin", true}, {"gatehouse:hosts-view", "", false}} {
		t.Run(test.name, func(t *testing.T) {
			role := roles[test.name]
			if role == nil {
				t.Fatal("the role is missing")
			}
			var joins []string
			for label, value := range role.Labels {
				if to, ok := strings.CutPrefix(label, prefix); ok && value == strconv.FormatBool(true) {
					joins = append(joins, to)
				}
			}
			if strings.Join(joins, ",") != test.joins {
				t.Errorf("it becomes part of %v, not of %q", joins, test.joins)
			}
			can := permissionsOf(t, role)
			resources := []string{"apps", "apps/scale", "apps/status", "instances", "instances/log", "instances/status", "releases", "releases/scale", "releases/status"}
			if test.joins == "" {
				resources = []string{"hosts", "hosts/status", "hostleases"}
			}
			for _, resource := range resources {
				for _, verb := range reads {
					if !can.Has(verb + " " + resource) {
						t.Errorf("it cannot %s %s", verb, resource)
					}
				}
			}
			for permission := range can {
				verb, resource, _ := strings.Cut(permission, " ")
				reading := slices.Contains(reads, verb)
				if !reading && (!test.writes || !slices.Contains(written, resource)) {
					t.Errorf("it can %s: bindings and statuses are for schedulers and host agents, and hosts for administrators of the cluster", permission)
				}
				if test.joins != "" && strings.HasPrefix(resource, "host") {
					t.Errorf("it can %s, which a role in a namespace can never grant", permission)
				}
			}
			for _, permission := range []string{
				"deletecollection apps", "deletecollection instances", "deletecollection releases",
				"patch apps/scale", "update apps/scale", "patch releases/scale", "update releases/scale", "create apps/rollback",
				"create instances/attach", "create instances/exec", "create instances/portforward",
				"get instances/attach", "get instances/exec", "get instances/portforward", // for WebSockets, beside create
			} {
				if test.writes && !can.Has(permission) {
					t.Errorf("it cannot %s", permission)
				}
			}
		})
	}
}
