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

package host

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// rules are those of hosts for base.SpecStatusStrategy.
type rules struct{}

func (rules) Spec(host *fleet.Host) *fleet.HostSpec     { return &host.Spec }
func (rules) Status(host *fleet.Host) *fleet.HostStatus { return &host.Status }

// InitialStatus returns the status of a host before the first report of its agent.
func (rules) InitialStatus() fleet.HostStatus {
	return fleet.HostStatus{Conditions: base.NotReady(metav1.ConditionUnknown, fleet.HostReasonNotReported, "the host's agent has not reported yet")}
}

func (rules) Validate(_ context.Context, host *fleet.Host) field.ErrorList {
	return validation.ValidateHost(host)
}

func (rules) ValidateUpdate(_ context.Context, host, old *fleet.Host) field.ErrorList {
	return validation.ValidateHostUpdate(host, old)
}

func (rules) ValidateStatusUpdate(_ context.Context, host, old *fleet.Host) field.ErrorList {
	return validation.ValidateHostStatusUpdate(host, old)
}
