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
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
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
	app := obj.(*fleet.App)
	app.Generation = 1
	app.Status = fleet.AppStatus{Conditions: base.AwaitingController("app controller")}
}

// PrepareForUpdate keeps the status, drops what belongs to the strategy that the app had before,
// and counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	app, oldApp := obj.(*fleet.App), old.(*fleet.App)
	app.Status = oldApp.Status
	dropLeftRollingUpdate(&app.Spec.Strategy, &oldApp.Spec.Strategy)
	if !apiequality.Semantic.DeepEqual(app.Spec, oldApp.Spec) {
		app.Generation = oldApp.Generation + 1
	}
}

// dropLeftRollingUpdate removes rollingUpdate when the type changes to Recreate and the write
// sets nothing in it: the defaults of the other type are left there by every write that names
// only what it changes. A server-side apply could not remove them at all, because fields that
// were defaulted have no manager. A value that the write sets or changes stays, and is refused.
func dropLeftRollingUpdate(strategy, old *fleet.AppStrategy) {
	if strategy.Type != fleet.RecreateAppStrategy || old.Type == fleet.RecreateAppStrategy || strategy.RollingUpdate == nil || old.RollingUpdate == nil {
		return
	}
	left := func(now, before *intstr.IntOrString) bool {
		return now == nil || before != nil && *now == *before
	}
	if left(strategy.RollingUpdate.MaxUnavailable, old.RollingUpdate.MaxUnavailable) && left(strategy.RollingUpdate.MaxSurge, old.RollingUpdate.MaxSurge) {
		strategy.RollingUpdate = nil
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateApp(obj.(*fleet.App))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateAppUpdate(obj.(*fleet.App), old.(*fleet.App))
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
	app, oldApp := obj.(*fleet.App), old.(*fleet.App)
	app.Spec = oldApp.Spec
	base.KeepMetadata(&app.ObjectMeta, &oldApp.ObjectMeta)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateAppStatusUpdate(obj.(*fleet.App), old.(*fleet.App))
}
