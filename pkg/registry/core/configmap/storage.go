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

package configmap

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of config maps.
type Storage struct{ ConfigMap *base.Store }

// NewStorage builds the storage of config maps.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   core.Resource("configmaps"),
		Singular:   core.Resource("configmap"),
		ShortNames: []string{"cm"},
		Versions:   []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:        func() runtime.Object { return &corev1.ConfigMap{} },
		NewList:    func() runtime.Object { return &corev1.ConfigMapList{} },
		Strategy:   strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate)},
		Table: base.Table(
			base.NameColumn[*corev1.ConfigMap](),
			base.Column[*corev1.ConfigMap]{Name: "Data", Type: "integer", Description: "Number of entries in data and binaryData.", Value: func(c *corev1.ConfigMap) any { return int64(len(c.Data) + len(c.BinaryData)) }},
			base.AgeColumn[*corev1.ConfigMap](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
