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
	"context"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

type object = storagemigrationv1.StorageVersionMigration

// strategy is the strategy for writes to metadata and, in a create, the spec. As in a kube-apiserver,
// a migration has no generation.
type strategy struct{ base.Strategy }

// ResetFields returns the status.
func (strategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate removes the status.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*object).Status = storagemigrationv1.StorageVersionMigrationStatus{}
}

// PrepareForUpdate keeps the status.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*object).Status = old.(*object).Status
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateStorageVersionMigration(obj.(*object))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateStorageVersionMigrationUpdate(obj.(*object), old.(*object))
}

// statusStrategy is the strategy for writes to the status.
type statusStrategy struct{ strategy }

// ResetFields returns everything but the status.
func (statusStrategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec"))
}

// PrepareForUpdate keeps everything but the status.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	migration, was := obj.(*object), old.(*object)
	migration.Spec = was.Spec
	base.KeepMetadata(migration, was)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateStorageVersionMigrationStatusUpdate(obj.(*object), old.(*object))
}
