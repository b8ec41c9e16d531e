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

package resourcequota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of resource quotas.
type Storage struct {
	ResourceQuota *base.Store
	Status        *base.StatusREST
}

// NewStorage builds the storage of resource quotas and of their status.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	main := strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate)}
	store, err := base.NewStore(base.Resource{
		Resource:   core.Resource("resourcequotas"),
		Singular:   core.Resource("resourcequota"),
		ShortNames: []string{"quota"},
		Versions:   []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:        func() runtime.Object { return &corev1.ResourceQuota{} },
		NewList:    func() runtime.Object { return &corev1.ResourceQuotaList{} },
		Strategy:   main,
		Table: base.Table(
			base.NameColumn[*corev1.ResourceQuota](),
			base.Column[*corev1.ResourceQuota]{Name: "Request", Description: "Used amount and maximum amount of each resource, except limits.", Value: func(q *corev1.ResourceQuota) any { return usage(q, false) }},
			base.Column[*corev1.ResourceQuota]{Name: "Limit", Description: "Sum and maximum sum of the limits of each resource.", Value: func(q *corev1.ResourceQuota) any { return usage(q, true) }},
			base.AgeColumn[*corev1.ResourceQuota](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{ResourceQuota: store, Status: store.NewStatusREST(statusStrategy{main})}, nil
}

// usage returns an empty cell until the controller has counted.
func usage(quota *corev1.ResourceQuota, limits bool) string {
	var cells []string
	for _, name := range slices.Sorted(maps.Keys(quota.Status.Hard)) {
		if strings.HasPrefix(string(name), "limits.") == limits {
			used, hard := quota.Status.Used[name], quota.Status.Hard[name]
			cells = append(cells, fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String()))
		}
	}
	return strings.Join(cells, ", ")
}
