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

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for writes to metadata and spec.
type strategy struct {
	base.SpecStatusStrategy[*fleet.App, fleet.AppSpec, fleet.AppStatus]
}

// PrepareForUpdate also drops the defaults of the rollout strategy that the app had before.
func (s strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	dropLeftRollingUpdate(&obj.(*fleet.App).Spec.Strategy, &old.(*fleet.App).Spec.Strategy)
	s.SpecStatusStrategy.PrepareForUpdate(ctx, obj, old)
}

// dropLeftRollingUpdate removes rollingUpdate when the type changes to Recreate and the write
// sets nothing in it: every write that names only what it changes leaves the defaults of the
// other type there. A server-side apply could not remove them, because defaulted fields have no
// manager. A value that the write sets or changes stays, and validation refuses it.
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

// rules are those of apps for base.SpecStatusStrategy.
type rules struct{}

func (rules) Spec(app *fleet.App) *fleet.AppSpec     { return &app.Spec }
func (rules) Status(app *fleet.App) *fleet.AppStatus { return &app.Status }

// InitialStatus returns the status of an app that the controller has not reconciled yet.
func (rules) InitialStatus() fleet.AppStatus {
	return fleet.AppStatus{Conditions: base.AwaitingController("app controller")}
}

func (rules) Validate(_ context.Context, app *fleet.App) field.ErrorList {
	return validation.ValidateApp(app)
}

func (rules) ValidateUpdate(_ context.Context, app, old *fleet.App) field.ErrorList {
	return validation.ValidateAppUpdate(app, old)
}

func (rules) ValidateStatusUpdate(_ context.Context, app, old *fleet.App) field.ErrorList {
	return validation.ValidateAppStatusUpdate(app, old)
}
