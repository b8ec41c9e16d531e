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

package clusterrolebinding

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/escalation"
)

// Storage holds every endpoint of cluster role bindings.
type Storage struct{ ClusterRoleBinding *escalation.Store }

// NewStorage builds the storage of cluster role bindings.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, checker escalation.Checker) (*Storage, error) {
	subjects := func(kind string) func(*rbacv1.ClusterRoleBinding) any {
		return func(binding *rbacv1.ClusterRoleBinding) any { return escalation.FormatSubjects(binding.Subjects, kind) }
	}
	store, err := base.NewStore(base.Resource{
		Resource: rbac.Resource("clusterrolebindings"),
		Singular: rbac.Resource("clusterrolebinding"),
		Versions: []schema.GroupVersion{rbacv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:  func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, false, base.CreateByPut, base.UnconditionalUpdate)},
		Table: base.Table(
			base.NameColumn[*rbacv1.ClusterRoleBinding](),
			base.Column[*rbacv1.ClusterRoleBinding]{Name: "Role", Description: "Role that is granted.", Value: func(b *rbacv1.ClusterRoleBinding) any { return b.RoleRef.Kind + "/" + b.RoleRef.Name }},
			base.AgeColumn[*rbacv1.ClusterRoleBinding](),
			base.Column[*rbacv1.ClusterRoleBinding]{Name: "Users", Wide: true, Description: "Users to which the role is granted.", Value: subjects(rbacv1.UserKind)},
			base.Column[*rbacv1.ClusterRoleBinding]{Name: "Groups", Wide: true, Description: "Groups to which the role is granted.", Value: subjects(rbacv1.GroupKind)},
			base.Column[*rbacv1.ClusterRoleBinding]{Name: "ServiceAccounts", Wide: true, Description: "Service accounts to which the role is granted.", Value: subjects(rbacv1.ServiceAccountKind)},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{&escalation.Store{Store: store, Check: func(ctx context.Context, obj, _ runtime.Object) error {
		return checker.MayBind(ctx, "", obj.(*rbacv1.ClusterRoleBinding).RoleRef)
	}}}, nil
}
