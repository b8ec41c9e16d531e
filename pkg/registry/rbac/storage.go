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
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/clusterrole"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/clusterrolebinding"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/role"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/rolebinding"
)

// Options are what the group needs.
type Options struct {
	base.StorageOptions
	// Escalation is asked before every write; there is no storage without it.
	Escalation Escalation
}

// NewStorage builds the storage of the group, by version and path.
func NewStorage(scheme *runtime.Scheme, opts Options) (map[string]map[string]rest.Storage, error) {
	if opts.Escalation == nil {
		return nil, errors.New("storage of rbac.authorization.k8s.io: Escalation is not set, so anybody who may write roles could grant themselves everything")
	}
	storages := map[string]rest.Storage{}
	for _, resource := range []struct {
		name  string
		build func(*runtime.Scheme, base.StorageOptions) (*base.Store, error)
		check check
	}{
		{"clusterrolebindings", clusterrolebinding.NewStorage, checkClusterRoleBinding},
		{"clusterroles", clusterrole.NewStorage, checkClusterRole},
		{"rolebindings", rolebinding.NewStorage, checkRoleBinding},
		{"roles", role.NewStorage, checkRole},
	} {
		store, err := resource.build(scheme, opts.StorageOptions)
		if err != nil {
			return nil, err
		}
		storages[resource.name] = &guarded{Store: store, escalation: opts.Escalation, check: resource.check}
	}
	return map[string]map[string]rest.Storage{rbacv1.SchemeGroupVersion.Version: storages}, nil
}
