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

package hostlease

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
)

// rules are those of host leases for base.SpecStrategy.
type rules struct{}

func (rules) Spec(lease *fleet.HostLease) *fleet.HostLeaseSpec { return &lease.Spec }

func (rules) Validate(_ context.Context, lease *fleet.HostLease) field.ErrorList {
	return validation.ValidateHostLease(lease)
}

func (rules) ValidateUpdate(_ context.Context, lease, old *fleet.HostLease) field.ErrorList {
	return validation.ValidateHostLeaseUpdate(lease, old)
}
