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

package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/coordination/lease"
)

// NewStorage builds the storage of the group, by version and path.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (map[string]map[string]rest.Storage, error) {
	leases, err := lease.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	return map[string]map[string]rest.Storage{
		coordinationv1.SchemeGroupVersion.Version: {
			"leases": leases.Lease,
		},
	}, nil
}
