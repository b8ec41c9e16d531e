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
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy decides on writes to metadata and spec.
type strategy struct{ base.Strategy }

// GetResetFields names what a write to the main endpoint leaves as it is.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// PrepareForCreate starts with a status that says that the controller has not reported yet.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	release := obj.(*fleet.Release)
	release.Generation = 1
	release.Status = fleet.ReleaseStatus{Conditions: base.AwaitingController("release controller")}
}

// PrepareForUpdate keeps the status and counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	release, oldRelease := obj.(*fleet.Release), old.(*fleet.Release)
	release.Status = oldRelease.Status
	if !apiequality.Semantic.DeepEqual(release.Spec, oldRelease.Spec) {
		release.Generation = oldRelease.Generation + 1
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateRelease(obj.(*fleet.Release))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateReleaseUpdate(obj.(*fleet.Release), old.(*fleet.Release))
}

// statusStrategy decides on writes to the status.
type statusStrategy struct{ strategy }

// GetResetFields names what a write to the status endpoint leaves as it is.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec")),
	}
}

// PrepareForUpdate keeps everything but the status.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	release, oldRelease := obj.(*fleet.Release), old.(*fleet.Release)
	release.Spec = oldRelease.Spec
	base.KeepMetadata(&release.ObjectMeta, &oldRelease.ObjectMeta)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateReleaseStatusUpdate(obj.(*fleet.Release), old.(*fleet.Release))
}
