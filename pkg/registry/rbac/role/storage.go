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

package role

import (
	"context"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/escalation"
)

// Storage holds every endpoint of roles.
type Storage struct{ Role *escalation.Store }

// NewStorage builds the storage of roles.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, checker escalation.Checker) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource: rbac.Resource("roles"),
		Singular: rbac.Resource("role"),
		Versions: []schema.GroupVersion{rbacv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &rbacv1.Role{} },
		NewList:  func() runtime.Object { return &rbacv1.RoleList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, true, base.CreateByPut, base.UnconditionalUpdate)},
		Table: base.Table(
			base.NameColumn[*rbacv1.Role](),
			base.Column[*rbacv1.Role]{Name: "Created At", Type: "date", Description: "Time at which the role was created.", Value: createdAt},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{&escalation.Store{Store: store, Check: func(ctx context.Context, obj, _ runtime.Object) error {
		return checker.MayWriteRules(ctx, "roles", request.NamespaceValue(ctx), escalation.RequestName(ctx), obj.(*rbacv1.Role).Rules)
	}}}, nil
}

func createdAt(role *rbacv1.Role) any {
	return role.CreationTimestamp.UTC().Format(time.RFC3339)
}
