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

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// rules are those of releases for base.SpecStatusStrategy.
type rules struct{}

func (rules) Spec(release *fleet.Release) *fleet.ReleaseSpec     { return &release.Spec }
func (rules) Status(release *fleet.Release) *fleet.ReleaseStatus { return &release.Status }

// InitialStatus returns the status of a release that the controller has not reconciled yet.
func (rules) InitialStatus() fleet.ReleaseStatus {
	return fleet.ReleaseStatus{Conditions: base.AwaitingController("release controller")}
}

func (rules) Validate(_ context.Context, release *fleet.Release) field.ErrorList {
	return validation.ValidateRelease(release)
}

func (rules) ValidateUpdate(_ context.Context, release, old *fleet.Release) field.ErrorList {
	return validation.ValidateReleaseUpdate(release, old)
}

func (rules) ValidateStatusUpdate(_ context.Context, release, old *fleet.Release) field.ErrorList {
	return validation.ValidateReleaseStatusUpdate(release, old)
}
