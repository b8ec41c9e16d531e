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

package release

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage is every endpoint of releases.
type Storage struct {
	Release *base.Store
	Status  *base.StatusREST
	Scale   *base.ScaleREST[*fleet.Release]
}

// NewStorage builds the storage of releases.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	strategy := base.NewSpecStatusStrategy(base.NewStrategy(scheme, true), rules{})
	store, err := base.NewStore(base.Resource{
		Resource:   fleet.Resource("releases"),
		Singular:   fleet.Resource("release"),
		ShortNames: []string{"rel"},
		Categories: []string{"all", "fleet"},
		Versions:   scheme.PrioritizedVersionsForGroup(fleet.GroupName),
		New:        func() runtime.Object { return &fleet.Release{} },
		NewList:    func() runtime.Object { return &fleet.ReleaseList{} },
		Strategy:   strategy,
		Table: base.Table(
			base.NameColumn[*fleet.Release](),
			base.Column[*fleet.Release]{Name: "Desired", Type: "integer", Description: "Number of desired instances.", Value: func(o *fleet.Release) any { return desired(o) }},
			base.Column[*fleet.Release]{Name: "Current", Type: "integer", Description: "Number of instances.", Value: func(o *fleet.Release) any { return o.Status.Replicas }},
			base.Column[*fleet.Release]{Name: "Ready", Type: "integer", Description: "Number of ready instances.", Value: func(o *fleet.Release) any { return o.Status.ReadyReplicas }},
			base.StatusColumn(func(o *fleet.Release) []metav1.Condition { return o.Status.Conditions }),
			base.AgeColumn[*fleet.Release](),
			base.Column[*fleet.Release]{Name: "Containers", Wide: true, Description: "Names of the template's containers.", Value: func(o *fleet.Release) any {
				return join(o.Spec.Template.Spec.Containers, func(c fleet.Container) string { return c.Name })
			}},
			base.Column[*fleet.Release]{Name: "Images", Wide: true, Description: "Images of the template's containers.", Value: func(o *fleet.Release) any {
				return join(o.Spec.Template.Spec.Containers, func(c fleet.Container) string { return c.Image })
			}},
			base.Column[*fleet.Release]{Name: "Selector", Wide: true, Description: "Label selector of the instances.", Value: func(o *fleet.Release) any { return metav1.FormatLabelSelector(o.Spec.Selector) }},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{Release: store, Status: store.NewStatusREST(strategy.ForStatus()), Scale: base.NewScaleREST(store, base.Scaling[*fleet.Release]{
		Replicas:       func(o *fleet.Release) *int32 { return o.Spec.Replicas },
		Selector:       func(o *fleet.Release) *metav1.LabelSelector { return o.Spec.Selector },
		StatusReplicas: func(o *fleet.Release) int32 { return o.Status.Replicas },
	})}, nil
}

// desired returns the desired number of replicas, which is defaulted.
func desired(o *fleet.Release) int32 {
	if o.Spec.Replicas == nil {
		return 0
	}
	return *o.Spec.Replicas
}

func join(containers []fleet.Container, value func(fleet.Container) string) string {
	values := make([]string, len(containers))
	for i, container := range containers {
		values[i] = value(container)
	}
	return strings.Join(values, ",")
}
