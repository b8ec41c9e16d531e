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

package prioritylevel

import (
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol/validation"
)

type (
	level  = flowcontrolv1.PriorityLevelConfiguration
	spec   = flowcontrolv1.PriorityLevelConfigurationSpec
	status = flowcontrolv1.PriorityLevelConfigurationStatus
)

// rules are those of priority levels for base.SpecStatusStrategy.
type rules struct{}

func (rules) Spec(level *level) *spec     { return &level.Spec }
func (rules) Status(level *level) *status { return &level.Status }
func (rules) InitialStatus() status       { return status{} }

func (rules) Validate(_ context.Context, level *level) field.ErrorList {
	return validation.ValidatePriorityLevelConfiguration(level)
}

func (rules) ValidateUpdate(_ context.Context, level, _ *level) field.ErrorList {
	return validation.ValidatePriorityLevelConfiguration(level)
}

func (rules) ValidateStatusUpdate(_ context.Context, level, _ *level) field.ErrorList {
	return validation.ValidatePriorityLevelConfigurationStatus(level)
}
