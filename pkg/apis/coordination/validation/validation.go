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

// Package validation validates objects of coordination.k8s.io. Code, reason and
// field of each error are those of a kube-apiserver; the messages are our own.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The strategy in
// pkg/registry/coordination/lease calls one function for each write.
package validation

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateLease checks a new lease.
func ValidateLease(lease *coordinationv1.Lease) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&lease.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateLeaseSpec(&lease.Spec)...)
}

// ValidateLeaseUpdate checks a write; the library checks the metadata.
func ValidateLeaseUpdate(lease, _ *coordinationv1.Lease) field.ErrorList {
	return validateLeaseSpec(&lease.Spec)
}

func validateLeaseSpec(spec *coordinationv1.LeaseSpec) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	if seconds := spec.LeaseDurationSeconds; seconds != nil && *seconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *seconds, "must be at least one second"))
	}
	if count := spec.LeaseTransitions; count != nil && *count < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *count, apivalidation.IsNegativeErrorMsg))
	}
	return errs
}
