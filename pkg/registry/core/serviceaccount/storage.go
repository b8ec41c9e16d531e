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

package serviceaccount

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of service accounts.
type Storage struct{ ServiceAccount *base.Store }

// NewStorage builds the storage of service accounts.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   core.Resource("serviceaccounts"),
		Singular:   core.Resource("serviceaccount"),
		ShortNames: []string{"sa"},
		Versions:   []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:        func() runtime.Object { return &corev1.ServiceAccount{} },
		NewList:    func() runtime.Object { return &corev1.ServiceAccountList{} },
		Strategy:   strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate)},
		Table: base.Table(
			base.NameColumn[*corev1.ServiceAccount](),
			base.AgeColumn[*corev1.ServiceAccount](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
