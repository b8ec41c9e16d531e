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

package rolebinding

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// NewStorage builds the storage, which does not ask what the caller may grant.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*base.Store, error) {
	store, _, err := base.NewStore(base.Resource{
		Resource: rbac.Resource("rolebindings"),
		Singular: rbac.Resource("rolebinding"),
		New:      func() runtime.Object { return &rbacv1.RoleBinding{} },
		NewList:  func() runtime.Object { return &rbacv1.RoleBindingList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate, base.CreateByPut)},
		Table: base.Table(
			base.NameColumn[*rbacv1.RoleBinding](),
			base.Column[*rbacv1.RoleBinding]{Name: "Role", Description: "The role that is given.", Value: role},
			base.AgeColumn[*rbacv1.RoleBinding](),
			subjects("Users", "Users that get the role.", rbacv1.UserKind),
			subjects("Groups", "Groups that get the role.", rbacv1.GroupKind),
			subjects("ServiceAccounts", "Service accounts that get the role.", rbacv1.ServiceAccountKind),
		),
	}, opts)
	return store, err
}

func role(binding *rbacv1.RoleBinding) any {
	return binding.RoleRef.Kind + "/" + binding.RoleRef.Name
}

// subjects is a wide column of the subjects of a kind.
func subjects(name, description, kind string) base.Column[*rbacv1.RoleBinding] {
	return base.Column[*rbacv1.RoleBinding]{Name: name, Description: description, Wide: true, Value: func(binding *rbacv1.RoleBinding) any {
		var names []string
		for _, subject := range binding.Subjects {
			switch {
			case subject.Kind != kind:
			case kind == rbacv1.ServiceAccountKind:
				names = append(names, subject.Namespace+"/"+subject.Name)
			default:
				names = append(names, subject.Name)
			}
		}
		return strings.Join(names, ", ")
	}}
}
