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

package validation

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// hostResources are the resources without a domain that a host may have.
var hostResources = []fleet.ResourceName{fleet.ResourceCPU, fleet.ResourceMemory, fleet.ResourceInstances}

// ValidateHost checks a host on create.
func ValidateHost(host *fleet.Host) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&host.ObjectMeta, false, ValidateObjectName, field.NewPath("metadata"))
	return boundsFirst(host, nil, append(errs, validateTaintCount(host.Spec.Taints, field.NewPath("spec", "taints"))...))
}

// ValidateHostUpdate checks a write to the spec of a host, besides the declarative rules.
func ValidateHostUpdate(host, old *fleet.Host) field.ErrorList {
	return boundsFirst(host, old, validateTaintCount(host.Spec.Taints, field.NewPath("spec", "taints")))
}

// maxTaints is the maximum number of taints on a host besides those of the host lifecycle
// controller. The declarative rule allows four more, for its two keys and two effects: if other taints
// used up the limit, instances could never be evicted from the host.
const maxTaints, maxTaintsWithLifecycle = 64, 68

func validateTaintCount(taints []fleet.Taint, path *field.Path) field.ErrorList {
	if len(taints) > maxTaintsWithLifecycle {
		return nil // the declarative rule reports it
	}
	own := 0
	for i := range taints {
		if key := taints[i].Key; key != v1alpha1.TaintHostNotReady && key != v1alpha1.TaintHostUnreachable {
			own++
		}
	}
	if own > maxTaints {
		return field.ErrorList{field.TooMany(path, own, maxTaints)}
	}
	return nil
}

// ValidateHostStatusUpdate checks a write to a host's status.
func ValidateHostStatusUpdate(host, old *fleet.Host) field.ErrorList {
	errs := ValidateHostUpdate(host, old)
	status, path := &host.Status, field.NewPath("status")
	errs = append(errs, validateConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateResourceList(status.Capacity, hostResources, path.Child("capacity"))...)
	errs = append(errs, validateResourceList(status.Allocatable, hostResources, path.Child("allocatable"))...)
	for i, address := range status.Addresses {
		at := path.Child("addresses").Index(i).Child("address")
		switch address.Type {
		case fleet.HostInternalIP, fleet.HostExternalIP:
			errs = append(errs, validateIP(address.Address, at)...)
		case fleet.HostHostname:
			if address.Address == "" {
				continue // required: the declarative rule reports it
			}
			for _, message := range utilvalidation.IsDNS1123Subdomain(address.Address) {
				errs = append(errs, field.Invalid(at, address.Address, message))
			}
		}
	}
	return errs
}

// ValidateHostLease checks a host's heartbeat on create.
func ValidateHostLease(lease *fleet.HostLease) field.ErrorList {
	return boundsFirst(lease, nil, apivalidation.ValidateObjectMeta(&lease.ObjectMeta, false, ValidateObjectName, field.NewPath("metadata")))
}

// ValidateHostLeaseUpdate checks the renewal of a lease, besides the declarative rules.
func ValidateHostLeaseUpdate(lease, old *fleet.HostLease) field.ErrorList {
	return validateBounds(lease, old)
}
