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

package migration

import (
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of migrations.
type Storage struct {
	Migration *base.Store
	Status    *base.StatusREST
}

// NewStorage builds the storage of migrations and of their status.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	main := strategy{base.NewBuiltinStrategy(scheme, false)}
	store, err := base.NewStore(base.Resource{
		Resource: storagemigration.Resource("storageversionmigrations"),
		Singular: storagemigration.Resource("storageversionmigration"),
		Versions: []schema.GroupVersion{storagemigrationv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &object{} },
		NewList:  func() runtime.Object { return &storagemigrationv1.StorageVersionMigrationList{} },
		Strategy: main,
		Table: base.Table(
			base.NameColumn[*object](),
			base.Column[*object]{Name: "Resource", Description: "The resource to migrate.", Value: func(o *object) any { return o.Spec.Resource.String() }},
			base.Column[*object]{Name: "Status", Description: "Status of the migration.", Value: func(o *object) any { return statusOf(o) }},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{Migration: store, Status: store.NewStatusREST(statusStrategy{main})}, nil
}

// statusOf returns the last of the conditions Running, Succeeded and Failed that is True.
func statusOf(migration *object) string {
	status := string(metav1.ConditionUnknown)
	for _, condition := range migration.Status.Conditions {
		if condition.Status != metav1.ConditionTrue {
			continue
		}
		switch storagemigrationv1.MigrationConditionType(condition.Type) {
		case storagemigrationv1.MigrationRunning, storagemigrationv1.MigrationSucceeded, storagemigrationv1.MigrationFailed:
			status = condition.Type
		}
	}
	return status
}
