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
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/clusterrole"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/clusterrolebinding"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/escalation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/role"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/rolebinding"
)

// StorageProvider builds the storages of rbac.authorization.k8s.io.
type StorageProvider struct {
	// Escalation refuses writes that grant rights which the caller does not have. It is required:
	// without it callers could grant themselves everything.
	Escalation escalation.Checker
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return rbacv1.GroupName }

// NewStorage implements base.StorageProvider.
func (p StorageProvider) NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (base.GroupStorage, error) {
	if p.Escalation == nil {
		return nil, errors.New("roles cannot be served without a check that refuses to grant rights which the caller does not have")
	}
	roles, err := role.NewStorage(scheme, opts, p.Escalation)
	if err != nil {
		return nil, err
	}
	roleBindings, err := rolebinding.NewStorage(scheme, opts, p.Escalation)
	if err != nil {
		return nil, err
	}
	clusterRoles, err := clusterrole.NewStorage(scheme, opts, p.Escalation)
	if err != nil {
		return nil, err
	}
	clusterRoleBindings, err := clusterrolebinding.NewStorage(scheme, opts, p.Escalation)
	if err != nil {
		return nil, err
	}
	return base.GroupStorage{rbacv1.GroupName: {rbacv1.SchemeGroupVersion.Version: {
		"roles":               roles.Role,
		"rolebindings":        roleBindings.RoleBinding,
		"clusterroles":        clusterRoles.ClusterRole,
		"clusterrolebindings": clusterRoleBindings.ClusterRoleBinding,
	}}}, nil
}
