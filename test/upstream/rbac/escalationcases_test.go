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

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	here      = "default"
	elsewhere = "kube-system"
)

// grant is a case: the rules that a user holds, and the object that the user tries to write.
type grant struct {
	name string
	// everywhere and inHere are the rules of the user, besides those that allow writes of the
	// four kinds at all.
	everywhere, inHere []rbacv1.PolicyRule
	groups             []string
	// old is the stored object; if nil, the object is created.
	old, object runtime.Object
	// want is "" if the write is allowed, or the reason of the error.
	want metav1.StatusReason
}

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), ResourceNames: names}
}

func urlRule(verbs, urls string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), NonResourceURLs: strings.Split(urls, ",")}
}

func roleOf(rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: here}, Rules: rules}
}

func clusterRoleOf(rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{Rules: rules}
}

func gathering(role *rbacv1.ClusterRole) *rbacv1.ClusterRole {
	role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"gather": "nothing"}}}}
	return role
}

func finalized(role *rbacv1.Role) *rbacv1.Role {
	role.Finalizers = []string{"example.com/last-things"}
	return role
}

func binding(kind, role string, subjects ...string) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: here}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}}
	b.Subjects = subjectsOf(subjects)
	return b
}

func clusterBinding(role string, subjects ...string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: subjectsOf(subjects)}
}

func subjectsOf(names []string) []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for _, name := range names {
		subjects = append(subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name})
	}
	return subjects
}

// The expected decisions are those of upstream's tests of its four storages (k8s.io/kubernetes
// pkg/registry/rbac/*/policybased) and of its comparison of rules (k8s.io/component-helpers
// auth/rbac/validation), for kinds that are served here.
func grants() []grant {
	return slices.Concat(escalations(), bindings(), coverages())
}

// everything is all rights.
func everything() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{rule("*", "*", "*"), urlRule("*", "*")}
}

// escalations are rights to write a role, by create and by update.
func escalations() []grant {
	forbidden := metav1.StatusReasonForbidden
	read := rule("get", "fleet.gatehouse.dev", "instances")
	var cases []grant
	for _, to := range []struct {
		what        string
		old, object runtime.Object
		resource    string
	}{
		{"a role", roleOf(), roleOf(read), "roles"},
		{"a cluster role", clusterRoleOf(), clusterRoleOf(read), "clusterroles"},
		{"a role that gathers", gathering(clusterRoleOf()), gathering(clusterRoleOf(read)), "clusterroles"},
		{"a role that gathered", gathering(clusterRoleOf(read)), clusterRoleOf(read), "clusterroles"},
	} {
		escalate := rule("escalate", rbacv1.GroupName, to.resource)
		gathers := to.resource == "clusterroles" && strings.Contains(to.what, "gather")
		inHere, ifGathers := forbidden, metav1.StatusReason("")
		if to.resource == "roles" {
			inHere = ""
		}
		if gathers {
			ifGathers = forbidden
		}
		for _, by := range []struct {
			how string
			old runtime.Object
		}{{"creates", nil}, {"changes", to.old}} {
			if by.old == nil && to.what == "a role that gathered" {
				continue
			}
			byName := forbidden // a right by name does not apply to a create
			if by.old != nil {
				byName = ""
			}
			cases = append(cases,
				grant{name: "a member of system:masters " + by.how + " " + to.what, groups: []string{"system:masters"}, old: by.old, object: to.object},
				grant{name: "a user that holds nothing " + by.how + " " + to.what, old: by.old, object: to.object, want: forbidden},
				grant{name: "a user that may escalate " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{escalate}, old: by.old, object: to.object},
				grant{name: "a user that may escalate it by name " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("escalate", rbacv1.GroupName, to.resource, "$name")}, old: by.old, object: to.object, want: byName},
				grant{name: "a user that may escalate another by name " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("escalate", rbacv1.GroupName, to.resource, "another")}, old: by.old, object: to.object, want: forbidden},
				grant{name: "a user that may escalate in the namespace " + by.how + " " + to.what, inHere: []rbacv1.PolicyRule{escalate}, old: by.old, object: to.object, want: inHere},
				grant{name: "a user that may bind, not escalate, " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("bind", rbacv1.GroupName, to.resource)}, old: by.old, object: to.object, want: forbidden},
				grant{name: "a user that holds everything " + by.how + " " + to.what, everywhere: everything(), old: by.old, object: to.object},
				grant{name: "a user that holds all that is stored, and so escalate, " + by.how + " " + to.what, everywhere: everything()[:1], old: by.old, object: to.object},
				grant{name: "a user that reads everything " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("get", "*", "*"), everything()[1]}, old: by.old, object: to.object, want: ifGathers},
				grant{name: "a user that holds the rule " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{read}, old: by.old, object: to.object, want: ifGathers},
				grant{name: "a user that holds the rule in the namespace " + by.how + " " + to.what, inHere: []rbacv1.PolicyRule{read}, old: by.old, object: to.object, want: inHere},
			)
		}
	}
	cases = append(cases,
		grant{name: "a finalizer is removed by a user that holds nothing", old: finalized(roleOf(read)), object: roleOf(read)},
		grant{name: "a rule is removed by a user that holds the rest", old: roleOf(read, rule("delete", "", "secrets")), object: roleOf(read), everywhere: []rbacv1.PolicyRule{read}},
	)
	return cases
}

// bindings are rights to bind a role: "reader" exists in both kinds, "missing" in none.
func bindings() []grant {
	forbidden := metav1.StatusReasonForbidden
	read := rule("get", "fleet.gatehouse.dev", "instances")
	var cases []grant
	for _, to := range []struct {
		what          string
		old, object   runtime.Object
		resource      string
		clusterScoped bool
	}{
		{"a cluster role in a namespace", binding("ClusterRole", "reader"), binding("ClusterRole", "reader", "eve"), "clusterroles", false},
		{"a role", binding("Role", "reader"), binding("Role", "reader", "eve"), "roles", false},
		{"a cluster role everywhere", clusterBinding("reader"), clusterBinding("reader", "eve"), "clusterroles", true},
	} {
		inHere := metav1.StatusReason("")
		if to.clusterScoped {
			inHere = forbidden
		}
		bind := rule("bind", rbacv1.GroupName, to.resource)
		for _, by := range []struct {
			how string
			old runtime.Object
		}{{"binds", nil}, {"rebinds", to.old}} {
			cases = append(cases,
				grant{name: "a member of system:masters " + by.how + " " + to.what, groups: []string{"system:masters"}, old: by.old, object: to.object},
				grant{name: "a user that holds nothing " + by.how + " " + to.what, old: by.old, object: to.object, want: forbidden},
				grant{name: "a user that may bind " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{bind}, old: by.old, object: to.object},
				grant{name: "a user that may bind by name " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("bind", rbacv1.GroupName, to.resource, "reader")}, old: by.old, object: to.object},
				grant{name: "a user that may bind another by name " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("bind", rbacv1.GroupName, to.resource, "another")}, old: by.old, object: to.object, want: forbidden},
				grant{name: "a user that may bind in the namespace " + by.how + " " + to.what, inHere: []rbacv1.PolicyRule{bind}, old: by.old, object: to.object, want: inHere},
				grant{name: "a user that may escalate, not bind, " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{rule("escalate", rbacv1.GroupName, to.resource)}, old: by.old, object: to.object, want: forbidden},
				grant{name: "a user that holds the rule " + by.how + " " + to.what, everywhere: []rbacv1.PolicyRule{read}, old: by.old, object: to.object},
				grant{name: "a user that holds the rule in the namespace " + by.how + " " + to.what, inHere: []rbacv1.PolicyRule{read}, old: by.old, object: to.object, want: inHere},
			)
		}
	}
	cases = append(cases,
		grant{name: "a user that holds all paths binds a role that is missing", everywhere: everything()[1:], object: binding("Role", "missing", "eve"), want: metav1.StatusReasonNotFound},
		grant{name: "a user that may bind binds a cluster role that is missing", everywhere: []rbacv1.PolicyRule{rule("bind", rbacv1.GroupName, "clusterroles")}, object: clusterBinding("missing", "eve")},
		grant{name: "a user that holds nothing binds a cluster role that is missing", object: clusterBinding("missing", "eve"), want: metav1.StatusReasonNotFound},
	)
	return cases
}

// coverages are rules that cover other rules, or do not.
func coverages() []grant {
	forbidden := metav1.StatusReasonForbidden
	var cases []grant
	for _, c := range []struct {
		name          string
		holds, grants []rbacv1.PolicyRule
		want          metav1.StatusReason
	}{
		{"the same", []rbacv1.PolicyRule{rule("get", "v1", "builds")}, []rbacv1.PolicyRule{rule("get", "v1", "builds")}, ""},
		{"a subresource of all", []rbacv1.PolicyRule{rule("get", "v1", "*/scale")}, []rbacv1.PolicyRule{rule("get", "v1", "foo/scale")}, ""},
		{"another subresource", []rbacv1.PolicyRule{rule("get", "v1", "*/scale")}, []rbacv1.PolicyRule{rule("get", "v1", "foo/status")}, forbidden},
		{"several rules for one", []rbacv1.PolicyRule{rule("delete", "v1", "deployments"), rule("delete", "v1", "builds"), rule("update", "v1", "builds,deployments")}, []rbacv1.PolicyRule{rule("delete,update", "v1", "builds,deployments")}, ""},
		{"several groups for one rule", []rbacv1.PolicyRule{rule("delete,update", "g1", "builds"), rule("delete,update", "g2", "builds")}, []rbacv1.PolicyRule{rule("delete,update", "g1,g2", "builds")}, ""},
		{"one rule for several groups", []rbacv1.PolicyRule{rule("delete,update", "g1,g2", "builds")}, []rbacv1.PolicyRule{rule("delete", "g1", "builds"), rule("update", "g2", "builds")}, ""},
		{"all but one verb of one resource", []rbacv1.PolicyRule{rule("delete,update", "v1", "builds,deployments"), rule("delete", "v1", "pods")}, []rbacv1.PolicyRule{rule("delete,update", "v1", "builds,deployments,pods")}, forbidden},
		{"all groups for some", []rbacv1.PolicyRule{rule("get", "*", "roles")}, []rbacv1.PolicyRule{rule("get", "g1,g2", "roles")}, ""},
		{"some groups for all", []rbacv1.PolicyRule{rule("get", "g1", "roles")}, []rbacv1.PolicyRule{rule("get", "*", "roles")}, forbidden},
		{"all groups for all", []rbacv1.PolicyRule{rule("get", "*", "roles")}, []rbacv1.PolicyRule{rule("get", "*", "roles")}, ""},
		{"all verbs for some", []rbacv1.PolicyRule{rule("*", "v1", "roles")}, []rbacv1.PolicyRule{rule("watch,list", "v1", "roles")}, ""},
		{"many verbs for all", []rbacv1.PolicyRule{rule("get,list,watch,create,update,delete,exec", "v1", "roles")}, []rbacv1.PolicyRule{rule("*", "v1", "roles")}, forbidden},
		{"all verbs for all", []rbacv1.PolicyRule{rule("*", "v1", "roles")}, []rbacv1.PolicyRule{rule("*", "v1", "roles")}, ""},
		{"all resources for one", []rbacv1.PolicyRule{rule("get", "v1", "*")}, []rbacv1.PolicyRule{rule("get", "v1", "resourcegroup:deployments")}, ""},
		{"some resources for all", []rbacv1.PolicyRule{rule("get", "v1", "roles,resourcegroup:deployments")}, []rbacv1.PolicyRule{rule("get", "v1", "*")}, forbidden},
		{"all resources for all", []rbacv1.PolicyRule{rule("get", "v1", "*")}, []rbacv1.PolicyRule{rule("get", "v1", "*")}, ""},
		{"any name for some names", []rbacv1.PolicyRule{rule("get", "v1", "pods")}, []rbacv1.PolicyRule{rule("get", "v1", "pods", "foo", "bar")}, ""},
		{"some names for any name", []rbacv1.PolicyRule{rule("get", "v1", "pods", "foo", "bar")}, []rbacv1.PolicyRule{rule("get", "v1", "pods")}, forbidden},
		{"some names for one of them", []rbacv1.PolicyRule{rule("get", "v1", "pods", "foo", "bar")}, []rbacv1.PolicyRule{rule("get", "v1", "pods", "bar")}, ""},
		{"the same path", []rbacv1.PolicyRule{urlRule("*", "/zoo")}, []rbacv1.PolicyRule{urlRule("*", "/zoo")}, ""},
		{"all paths for some", []rbacv1.PolicyRule{urlRule("*", "*")}, []rbacv1.PolicyRule{urlRule("*", "/zoo,/zoo/v1,/")}, ""},
		{"what is below a path for the path", []rbacv1.PolicyRule{urlRule("*", "/zoo/*")}, []rbacv1.PolicyRule{urlRule("get", "/zoo,/zoo/v1")}, forbidden},
		{"what is below a path for some of it", []rbacv1.PolicyRule{urlRule("*", "/zoo/*")}, []rbacv1.PolicyRule{urlRule("get", "/zoo/v1/foo,/zoo/v1")}, ""},
		{"a star in the middle of a path", []rbacv1.PolicyRule{urlRule("*", "/zoo/*/*")}, []rbacv1.PolicyRule{urlRule("get", "/zoo/v1")}, forbidden},
		{"a longer path for a shorter", []rbacv1.PolicyRule{urlRule("get", "/zoo/v1")}, []rbacv1.PolicyRule{urlRule("get", "/zoo")}, forbidden},
		{"resources for paths", []rbacv1.PolicyRule{rule("get", "*", "*")}, []rbacv1.PolicyRule{urlRule("get", "/zoo")}, forbidden},
		{"no verb of the others", []rbacv1.PolicyRule{rule("get", "v1", "builds")}, []rbacv1.PolicyRule{rule("list", "v1", "builds")}, forbidden},
		{"the core group is not all groups", []rbacv1.PolicyRule{rule("get", "", "secrets")}, []rbacv1.PolicyRule{rule("get", "fleet.gatehouse.dev", "secrets")}, forbidden},
	} {
		cases = append(cases, grant{name: "held against granted: " + c.name, everywhere: c.holds, object: clusterRoleOf(c.grants...), want: c.want})
	}
	return cases
}
