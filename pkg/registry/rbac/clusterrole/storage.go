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
	"context"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/escalation"
)

// Storage holds every endpoint of cluster roles.
type Storage struct{ ClusterRole *escalation.Store }

// NewStorage builds the storage of cluster roles.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, checker escalation.Checker) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource: rbac.Resource("clusterroles"),
		Singular: rbac.Resource("clusterrole"),
		Versions: []schema.GroupVersion{rbacv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &rbacv1.ClusterRole{} },
		NewList:  func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, false, base.CreateByPut, base.UnconditionalUpdate)},
		Table: base.Table(
			base.NameColumn[*rbacv1.ClusterRole](),
			base.Column[*rbacv1.ClusterRole]{Name: "Created At", Type: "date", Description: "Time at which the role was created.", Value: createdAt},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{&escalation.Store{Store: store, Check: func(ctx context.Context, obj, old runtime.Object) error {
		role, before := obj.(*rbacv1.ClusterRole), old.(*rbacv1.ClusterRole)
		name := escalation.RequestName(ctx)
		if err := checker.MayWriteRules(ctx, "clusterroles", "", name, role.Rules); err != nil {
			return err
		}
		if role.AggregationRule == nil && before.AggregationRule == nil {
			return nil
		}
		if err := checker.MayWriteRules(ctx, "clusterroles", "", name, everything()); err != nil {
			return fmt.Errorf("a role with an aggregationRule aggregates every role with matching labels, so a user needs all rights to write one: %w", err)
		}
		return nil
	}}}, nil
}

// everything returns the rights that the author of an aggregated role must have: the roles that will
// be aggregated are not known.
func everything() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
	}
}

func createdAt(role *rbacv1.ClusterRole) any {
	return role.CreationTimestamp.UTC().Format(time.RFC3339)
}
