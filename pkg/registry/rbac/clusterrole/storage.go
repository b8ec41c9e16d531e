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

package clusterrole

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// NewStorage builds the storage, which does not ask what the caller may grant.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*base.Store, error) {
	store, _, err := base.NewStore(base.Resource{
		Resource: rbac.Resource("clusterroles"),
		Singular: rbac.Resource("clusterrole"),
		New:      func() runtime.Object { return &rbacv1.ClusterRole{} },
		NewList:  func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, false, base.UnconditionalUpdate, base.CreateByPut)},
		Table: base.Table(
			base.NameColumn[*rbacv1.ClusterRole](),
			base.Column[*rbacv1.ClusterRole]{Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], Value: createdAt},
		),
	}, opts)
	return store, err
}

// createdAt is a time and no age: a kube-apiserver has no columns of its own for the kind.
func createdAt(role *rbacv1.ClusterRole) any {
	return role.CreationTimestamp.UTC().Format(time.RFC3339)
}
