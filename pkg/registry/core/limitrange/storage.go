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

package limitrange

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of limit ranges.
type Storage struct{ LimitRange *base.Store }

// NewStorage builds the storage of limit ranges. The columns are a kube-apiserver's.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   core.Resource("limitranges"),
		Singular:   core.Resource("limitrange"),
		ShortNames: []string{"limits"},
		Versions:   []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:        func() runtime.Object { return &corev1.LimitRange{} },
		NewList:    func() runtime.Object { return &corev1.LimitRangeList{} },
		Strategy:   strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate, base.CreateByPut)},
		Table: base.Table(
			base.NameColumn[*corev1.LimitRange](),
			base.Column[*corev1.LimitRange]{Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], Value: func(l *corev1.LimitRange) any {
				return l.CreationTimestamp.UTC().Format(time.RFC3339)
			}},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
