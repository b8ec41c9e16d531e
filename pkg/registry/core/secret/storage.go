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

package secret

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of secrets.
type Storage struct{ Secret *base.Store }

// NewStorage builds the storage of secrets.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource: core.Resource("secrets"),
		Singular: core.Resource("secret"),
		Versions: []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:      func() runtime.Object { return &corev1.Secret{} },
		NewList:  func() runtime.Object { return &corev1.SecretList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate)},
		SelectableFields: func(obj runtime.Object, set fields.Set) error {
			set["type"] = string(obj.(*corev1.Secret).Type)
			return nil
		},
		Table: base.Table(
			base.NameColumn[*corev1.Secret](),
			base.Column[*corev1.Secret]{Name: "Type", Description: "Type of the secret, which determines its required keys.", Value: func(s *corev1.Secret) any { return string(s.Type) }},
			base.Column[*corev1.Secret]{Name: "Data", Type: "integer", Description: "Number of entries in data.", Value: func(s *corev1.Secret) any { return int64(len(s.Data)) }},
			base.AgeColumn[*corev1.Secret](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
