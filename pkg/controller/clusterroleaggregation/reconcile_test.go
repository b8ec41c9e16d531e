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

package clusterroleaggregation

import (
	"reflect"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func rule(verb string) rbacv1.PolicyRule { return rbacv1.PolicyRule{Verbs: []string{verb}} }

func labelled(name, label string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{label: "true"}}, Rules: rules}
}

func gathering(name string, rules []rbacv1.PolicyRule, labels ...string) *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"x": "true"}}, Rules: rules, AggregationRule: &rbacv1.AggregationRule{}}
	for _, label := range labels {
		role.AggregationRule.ClusterRoleSelectors = append(role.AggregationRule.ClusterRoleSelectors, metav1.LabelSelector{MatchLabels: map[string]string{label: "true"}})
	}
	return role
}

func TestARoleGathersWhatItsSelectorsChoose(t *testing.T) {
	all := []*rbacv1.ClusterRole{labelled("c", "x", rule("c")), labelled("a", "x", rule("a"), rule("c")), labelled("b", "y", rule("b")), labelled("n", "z")}
	for _, row := range []struct {
		name  string
		role  *rbacv1.ClusterRole
		want  []rbacv1.PolicyRule
		as    bool
		fails bool
	}{
		{name: "one that gathers nothing", role: labelled("own", "x", rule("own")), want: []rbacv1.PolicyRule{rule("own")}, as: true},
		{name: "by one label, in the order of names, each rule once", role: gathering("g", nil, "x"), want: []rbacv1.PolicyRule{rule("a"), rule("c")}},
		{name: "by two labels", role: gathering("g", nil, "y", "x"), want: []rbacv1.PolicyRule{rule("b"), rule("a"), rule("c")}},
		{name: "one that has them", role: gathering("g", []rbacv1.PolicyRule{rule("b")}, "y"), want: []rbacv1.PolicyRule{rule("b")}, as: true},
		{name: "one that has more", role: gathering("g", []rbacv1.PolicyRule{rule("b"), rule("more")}, "y"), want: []rbacv1.PolicyRule{rule("b")}},
		{name: "not itself", role: gathering("a", []rbacv1.PolicyRule{rule("self")}, "x"), want: []rbacv1.PolicyRule{rule("c")}},
		{name: "nothing, which is not the same as all", role: gathering("g", []rbacv1.PolicyRule{rule("b")}, "none"), want: []rbacv1.PolicyRule{}},
		{name: "nothing, and has nothing", role: gathering("g", nil, "none"), want: []rbacv1.PolicyRule{}, as: true},
		{name: "by a selector that cannot be read", role: gathering("g", nil, "no label/at all/"), fails: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			rules, as, err := aggregate(row.role, all)
			if (err != nil) != row.fails {
				t.Fatalf("failed with %v", err)
			}
			if !row.fails && (!reflect.DeepEqual(rules, row.want) || as != row.as) {
				t.Errorf("got %v (as it should be: %v), wanted %v (%v)", rules, as, row.want, row.as)
			}
		})
	}
}
