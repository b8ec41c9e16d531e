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
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// namespacedRoles returns a Role and a RoleBinding for each controller whose rules apply in one
// namespace.
func namespacedRoles(controllers []UserRole) []Bootstrap {
	var objects []Bootstrap
	for _, c := range controllers {
		if c.Namespace == "" {
			continue
		}
		meta := metav1.ObjectMeta{Namespace: c.Namespace, Name: c.User}
		stamp(&meta)
		role := &rbacv1.Role{ObjectMeta: *meta.DeepCopy(), Rules: c.Rules}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: c.User},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: c.User}},
		}
		objects = append(objects, Bootstrap{Resource: "roles", Object: role, Reconcile: func(existing runtime.Object) bool {
			return reconcileNamespacedRole(existing.(*rbacv1.Role), role)
		}}, Bootstrap{Resource: "rolebindings", Object: binding, Reconcile: func(existing runtime.Object) bool {
			return reconcileNamespacedBinding(existing.(*rbacv1.RoleBinding), binding)
		}})
	}
	return objects
}

// reconcileNamespacedRole is reconcileRole for a Role.
func reconcileNamespacedRole(existing, wanted *rbacv1.Role) bool {
	cluster := &rbacv1.ClusterRole{ObjectMeta: existing.ObjectMeta, Rules: existing.Rules}
	changed := reconcileRole(cluster, &rbacv1.ClusterRole{ObjectMeta: wanted.ObjectMeta, Rules: wanted.Rules})
	existing.ObjectMeta, existing.Rules = cluster.ObjectMeta, cluster.Rules
	return changed
}

// reconcileNamespacedBinding is reconcileBinding for a RoleBinding.
func reconcileNamespacedBinding(existing, wanted *rbacv1.RoleBinding) bool {
	cluster := &rbacv1.ClusterRoleBinding{ObjectMeta: existing.ObjectMeta, RoleRef: existing.RoleRef, Subjects: existing.Subjects}
	changed := reconcileBinding(cluster, &rbacv1.ClusterRoleBinding{ObjectMeta: wanted.ObjectMeta, RoleRef: wanted.RoleRef, Subjects: wanted.Subjects})
	existing.ObjectMeta, existing.Subjects = cluster.ObjectMeta, cluster.Subjects
	return changed
}
