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

package validation

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// expect compares the fields that are wrong.
func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Field)
	}
	if !slices.Equal(got, want) {
		t.Errorf("wrong are %q, want %q", errs, want)
	}
}

func TestRules(t *testing.T) {
	verbs, groups, resources, urls := []string{"get"}, []string{""}, []string{"secrets"}, []string{"/healthz"}
	for name, test := range map[string]struct {
		rule            rbacv1.PolicyRule
		role, inCluster []string
	}{
		"a rule for resources":       {rule: rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources, ResourceNames: []string{"a"}}},
		"a rule without verbs":       {rbacv1.PolicyRule{APIGroups: groups, Resources: resources}, []string{"rules[0].verbs"}, []string{"rules[0].verbs"}},
		"a rule without groups":      {rbacv1.PolicyRule{Verbs: verbs, Resources: resources}, []string{"rules[0].apiGroups"}, []string{"rules[0].apiGroups"}},
		"a rule without resources":   {rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups}, []string{"rules[0].resources"}, []string{"rules[0].resources"}},
		"a rule for paths":           {rbacv1.PolicyRule{Verbs: verbs, NonResourceURLs: urls}, []string{"rules[0].nonResourceURLs"}, nil},
		"a rule for paths and names": {rbacv1.PolicyRule{Verbs: verbs, NonResourceURLs: urls, ResourceNames: []string{"a"}}, []string{"rules[0].nonResourceURLs", "rules[0].nonResourceURLs"}, []string{"rules[0].nonResourceURLs"}},
	} {
		t.Run(name, func(t *testing.T) {
			role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "system:a"}, Rules: []rbacv1.PolicyRule{test.rule}}
			expect(t, ValidateRole(role, true), test.role...)
			expect(t, ValidateRole(role, false), test.role...)
			cluster := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "system:a"}, Rules: role.Rules}
			expect(t, ValidateClusterRole(cluster, true), test.inCluster...)
			expect(t, ValidateClusterRole(cluster, false), test.inCluster...)
		})
	}
}

func TestAName(t *testing.T) {
	for name, want := range map[string][]string{"system:a": nil, "a/b": {"metadata.name"}, "..": {"metadata.name"}} {
		expect(t, ValidateRole(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}}, true), want...)
	}
}

func TestAggregation(t *testing.T) {
	const path = "aggregationRule.clusterRoleSelectors"
	role := func(selectors ...metav1.LabelSelector) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "a"}, AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: selectors}}
	}
	good := role(metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}})
	bad := role(metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In"}}})
	expect(t, ValidateClusterRole(good, true))
	expect(t, ValidateClusterRole(role(), true), path)
	expect(t, ValidateClusterRole(role(), false), path)
	if errs := ValidateClusterRole(bad, true); len(errs) == 0 || errs[0].Field != path+"[0].matchExpressions[0].values" {
		t.Errorf("a selector that names no values: %v", errs)
	}
}

func TestBindings(t *testing.T) {
	ref := func(kind, name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	cluster := ref("ClusterRole", "view")
	for name, test := range map[string]struct {
		ref             rbacv1.RoleRef
		subject         rbacv1.Subject
		role, inCluster []string
	}{
		"a user":                             {ref: cluster, subject: rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "me"}},
		"a service account":                  {ref: cluster, subject: rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "me"}},
		"a service account of no namespace":  {cluster, rbacv1.Subject{Kind: "ServiceAccount", Name: "me"}, nil, []string{"subjects[0].namespace"}},
		"a service account of a wrong group": {cluster, rbacv1.Subject{Kind: "ServiceAccount", APIGroup: "x", Namespace: "a", Name: "me"}, []string{"subjects[0].apiGroup"}, []string{"subjects[0].apiGroup"}},
		"a service account with a bad name":  {cluster, rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "Me"}, []string{"subjects[0].name"}, []string{"subjects[0].name"}},
		"a group of no API group":            {cluster, rbacv1.Subject{Kind: "Group", Name: "us"}, []string{"subjects[0].apiGroup"}, []string{"subjects[0].apiGroup"}},
		"a user without a name":              {cluster, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName}, []string{"subjects[0].name"}, []string{"subjects[0].name"}},
		"a subject of another kind":          {cluster, rbacv1.Subject{Kind: "Robot", Name: "me"}, []string{"subjects[0].kind"}, []string{"subjects[0].kind"}},
		"a role of the namespace":            {ref("Role", "a"), rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "me"}, nil, []string{"roleRef.kind"}},
		"a role without a name":              {ref("ClusterRole", ""), rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "me"}, []string{"roleRef.name"}, []string{"roleRef.name"}},
		"a role with a bad name":             {ref("ClusterRole", "a/b"), rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "me"}, []string{"roleRef.name"}, []string{"roleRef.name"}},
	} {
		t.Run(name, func(t *testing.T) {
			inNamespace := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "a"}, RoleRef: test.ref, Subjects: []rbacv1.Subject{test.subject}}
			expect(t, ValidateRoleBinding(inNamespace, nil), test.role...)
			expect(t, ValidateRoleBinding(inNamespace, inNamespace), test.role...)
			everywhere := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "a"}, RoleRef: test.ref, Subjects: inNamespace.Subjects}
			expect(t, ValidateClusterRoleBinding(everywhere, nil), test.inCluster...)
			expect(t, ValidateClusterRoleBinding(everywhere, everywhere), test.inCluster...)
		})
	}
}

func TestARoleRefStays(t *testing.T) {
	before := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}
	after := before
	after.Name = "edit"
	expect(t, ValidateRoleBinding(&rbacv1.RoleBinding{RoleRef: after}, &rbacv1.RoleBinding{RoleRef: before}), "roleRef")
	expect(t, ValidateClusterRoleBinding(&rbacv1.ClusterRoleBinding{RoleRef: after}, &rbacv1.ClusterRoleBinding{RoleRef: before}), "roleRef")
}
