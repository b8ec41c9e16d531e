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

package app

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage is every endpoint of apps.
type Storage struct {
	App      *base.Store
	Status   *base.StatusREST
	Scale    *base.ScaleREST[*fleet.App]
	Rollback *RollbackREST
}

// NewStorage builds the storage of apps. The rollback endpoint finds revisions in releases and
// writes with updates.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, releases rest.Lister, updates CallerUpdates) (*Storage, error) {
	if updates == nil {
		return nil, errors.New("storage of apps: rollbacks cannot be served without CallerUpdates, which run admission")
	}
	versions := scheme.PrioritizedVersionsForGroup(fleet.GroupName)
	main := base.NewSpecStatusStrategy(base.NewStrategy(scheme, true), rules{})
	store, err := base.NewStore(base.Resource{
		Resource:   fleet.Resource("apps"),
		Singular:   fleet.Resource("app"),
		ShortNames: []string{"app"},
		Categories: []string{"all", "fleet"},
		Versions:   versions,
		New:        func() runtime.Object { return &fleet.App{} },
		NewList:    func() runtime.Object { return &fleet.AppList{} },
		Strategy:   strategy{main},
		Table: base.Table(
			base.NameColumn[*fleet.App](),
			base.Column[*fleet.App]{Name: "Ready", Description: "Number of ready instances and of desired instances.", Value: func(o *fleet.App) any { return fmt.Sprintf("%d/%d", o.Status.ReadyReplicas, desired(o)) }},
			base.Column[*fleet.App]{Name: "Up-to-date", Type: "integer", Description: "Number of instances of the newest version.", Value: func(o *fleet.App) any { return o.Status.UpdatedReplicas }},
			base.Column[*fleet.App]{Name: "Available", Type: "integer", Description: "Number of instances that have been ready for at least minReadySeconds.", Value: func(o *fleet.App) any { return o.Status.AvailableReplicas }},
			base.StatusColumn(func(o *fleet.App) []metav1.Condition { return o.Status.Conditions }),
			base.AgeColumn[*fleet.App](),
			base.Column[*fleet.App]{Name: "Containers", Wide: true, Description: "Names of the template's containers.", Value: func(o *fleet.App) any {
				return join(o.Spec.Template.Spec.Containers, func(c fleet.Container) string { return c.Name })
			}},
			base.Column[*fleet.App]{Name: "Images", Wide: true, Description: "Images of the template's containers.", Value: func(o *fleet.App) any {
				return join(o.Spec.Template.Spec.Containers, func(c fleet.Container) string { return c.Image })
			}},
			base.Column[*fleet.App]{Name: "Selector", Wide: true, Description: "Label selector of the instances.", Value: func(o *fleet.App) any { return metav1.FormatLabelSelector(o.Spec.Selector) }},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{
		App:    store,
		Status: store.NewStatusREST(main.ForStatus()),
		Scale: base.NewScaleREST(store, base.Scaling[*fleet.App]{
			Replicas:       func(o *fleet.App) *int32 { return o.Spec.Replicas },
			Selector:       func(o *fleet.App) *metav1.LabelSelector { return o.Spec.Selector },
			StatusReplicas: func(o *fleet.App) int32 { return o.Status.Replicas },
		}),
		Rollback: &RollbackREST{apps: store, releases: releases, update: updates.Prepare(store, versions[0].WithResource("apps"), versions[0].WithKind("App"))},
	}, nil
}

// desired returns the desired number of replicas, which is defaulted.
func desired(o *fleet.App) int32 {
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
