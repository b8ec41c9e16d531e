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
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/police"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/role"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/rolebinding"
)

// NewStorage builds the storage of the group, by version and path. Without escalation nobody
// would keep callers from granting themselves everything, so it must be there.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, escalation police.Escalation) (map[string]map[string]rest.Storage, error) {
	if escalation == nil {
		return nil, errors.New("roles cannot be served without what keeps callers from granting more than they hold")
	}
	storages := map[string]rest.Storage{}
	for path, build := range map[string]func(*runtime.Scheme, base.StorageOptions, police.Escalation) (*police.Policed, error){
		"roles":               role.NewStorage,
		"rolebindings":        rolebinding.NewStorage,
		"clusterroles":        clusterrole.NewStorage,
		"clusterrolebindings": clusterrolebinding.NewStorage,
	} {
		storage, err := build(scheme, opts, escalation)
		if err != nil {
			return nil, err
		}
		storages[path] = storage
	}
	return map[string]map[string]rest.Storage{rbacv1.SchemeGroupVersion.Version: storages}, nil
}
