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

package escalation

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOnlyWhatTheGarbageCollectorWritesNeedsNoRights(t *testing.T) {
	old := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "7"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}}}}
	for _, tc := range []struct {
		name   string
		change func(*rbacv1.ClusterRole)
		want   bool
	}{
		{"no change", func(*rbacv1.ClusterRole) {}, true},
		{"the kind, which the result of a merge patch has", func(r *rbacv1.ClusterRole) {
			r.TypeMeta = metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}
		}, true},
		{"a finalizer", func(r *rbacv1.ClusterRole) { r.Finalizers = []string{"example.com/a"} }, true},
		{"an owner", func(r *rbacv1.ClusterRole) { r.OwnerReferences = []metav1.OwnerReference{{Name: "b"}} }, true},
		{"a label", func(r *rbacv1.ClusterRole) { r.Labels = map[string]string{"a": "b"} }, false},
		{"a rule", func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, rbacv1.PolicyRule{Verbs: []string{"*"}}) }, false},
	} {
		role := old.DeepCopy()
		tc.change(role)
		if got, err := onlyCollected(role, old); err != nil || got != tc.want {
			t.Errorf("%s: %v, %v", tc.name, got, err)
		}
	}
}
