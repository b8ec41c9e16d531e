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
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	flowcontrolv1beta3 "k8s.io/api/flowcontrol/v1beta3"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/util/shufflesharding"
)

// maxQueues is the largest number of queues of a priority level.
const maxQueues = 10_000_000

// ValidatePriorityLevelConfiguration checks a priority level, in a create and in an update. A mandatory one
// has a fixed spec, except that spec.exempt of the level exempt can be changed.
func ValidatePriorityLevelConfiguration(level *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	errs := validateMeta(&level.ObjectMeta)
	if _, found := level.Annotations[flowcontrolv1beta3.PriorityLevelPreserveZeroConcurrencySharesKey]; found {
		errs = append(errs, field.Forbidden(field.NewPath("metadata", "annotations"),
			fmt.Sprintf("%s belongs to the version v1beta3, which is not served: remove it", flowcontrolv1beta3.PriorityLevelPreserveZeroConcurrencySharesKey)))
	}
	path, spec := field.NewPath("spec"), &level.Spec
	isExempt := level.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt
	if isExempt != (spec.Type == flowcontrolv1.PriorityLevelEnablementExempt) {
		errs = append(errs, field.Invalid(path.Child("type"), spec.Type, "must be Exempt for the level named exempt, and Limited for all others"))
	}
	switch spec.Type {
	case flowcontrolv1.PriorityLevelEnablementExempt:
		errs = append(errs, validateExempt(spec, path)...)
	case flowcontrolv1.PriorityLevelEnablementLimited:
		errs = append(errs, validateLimited(spec, path)...)
	default:
		errs = append(errs, notSupported(path.Child("type"), spec.Type, flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited))
	}
	for _, mandatory := range bootstrap.MandatoryPriorityLevelConfigurations {
		if mandatory.Name != level.Name {
			continue
		}
		wanted := mandatory.Spec
		if isExempt {
			wanted.Exempt = spec.Exempt
		}
		if !apiequality.Semantic.DeepEqual(*spec, wanted) {
			errs = append(errs, field.Invalid(path, level.Name, "the spec of this mandatory level is fixed, except spec.exempt of exempt: create another level"))
		}
	}
	return append(errs, ValidatePriorityLevelConfigurationStatus(level)...)
}

// ValidatePriorityLevelConfigurationStatus checks a status.
func ValidatePriorityLevelConfigurationStatus(level *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	var types []string
	for _, condition := range level.Status.Conditions {
		types = append(types, string(condition.Type))
	}
	return validateConditions(types)
}

// notSupported returns the error for a value that is not one of the list: an empty one is missing.
func notSupported[T ~string](path *field.Path, value T, supported ...T) *field.Error {
	if value == "" {
		return field.Required(path, fmt.Sprintf("must be one of %q", supported))
	}
	return field.NotSupported(path, value, supported)
}

func validateExempt(spec *flowcontrolv1.PriorityLevelConfigurationSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Limited != nil {
		errs = append(errs, field.Forbidden(path.Child("limited"), "must not be set for the type Exempt"))
	}
	if exempt := spec.Exempt; exempt != nil {
		errs = append(errs, validateAtLeastZero(exempt.NominalConcurrencyShares, path.Child("exempt", "nominalConcurrencyShares"))...)
		errs = append(errs, validatePercent(exempt.LendablePercent, path.Child("exempt", "lendablePercent"))...)
	}
	return errs
}

func validateLimited(spec *flowcontrolv1.PriorityLevelConfigurationSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Exempt != nil {
		errs = append(errs, field.Forbidden(path.Child("exempt"), "must not be set for the type Limited"))
	}
	limited, at := spec.Limited, path.Child("limited")
	if limited == nil {
		return append(errs, field.Required(at, "set it for the type Limited"))
	}
	errs = append(errs, validateAtLeastZero(limited.NominalConcurrencyShares, at.Child("nominalConcurrencyShares"))...)
	errs = append(errs, validateLimitResponse(&limited.LimitResponse, at.Child("limitResponse"))...)
	errs = append(errs, validatePercent(limited.LendablePercent, at.Child("lendablePercent"))...)
	return append(errs, validateAtLeastZero(limited.BorrowingLimitPercent, at.Child("borrowingLimitPercent"))...)
}

func validateAtLeastZero(value *int32, path *field.Path) field.ErrorList {
	if value != nil && *value < 0 {
		return field.ErrorList{field.Invalid(path, *value, "must be at least 0")}
	}
	return nil
}

func validatePercent(value *int32, path *field.Path) field.ErrorList {
	if value != nil && (*value < 0 || *value > 100) {
		return field.ErrorList{field.Invalid(path, *value, "must be between 0 and 100")}
	}
	return nil
}

func validateLimitResponse(response *flowcontrolv1.LimitResponse, path *field.Path) field.ErrorList {
	queuing, at := response.Queuing, path.Child("queuing")
	switch response.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if queuing != nil {
			return field.ErrorList{field.Forbidden(at, "must not be set for the type Reject")}
		}
		return nil
	case flowcontrolv1.LimitResponseTypeQueue:
		if queuing == nil {
			return field.ErrorList{field.Required(at, "set it for the type Queue")}
		}
		return validateQueuing(queuing, at)
	}
	return field.ErrorList{notSupported(path.Child("type"), response.Type, flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject)}
}

func validateQueuing(queuing *flowcontrolv1.QueuingConfiguration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if queuing.QueueLengthLimit <= 0 {
		errs = append(errs, field.Invalid(path.Child("queueLengthLimit"), queuing.QueueLengthLimit, "must be at least 1"))
	}
	if queuing.Queues <= 0 || queuing.Queues > maxQueues {
		errs = append(errs, field.Invalid(path.Child("queues"), queuing.Queues, fmt.Sprintf("must be between 1 and %d", maxQueues)))
	}
	hand := path.Child("handSize")
	switch {
	case queuing.HandSize <= 0 || queuing.HandSize > queuing.Queues:
		errs = append(errs, field.Invalid(hand, queuing.HandSize, fmt.Sprintf("must be between 1 and the number of queues, %d", queuing.Queues)))
	case shufflesharding.RequiredEntropyBits(int(queuing.Queues), int(queuing.HandSize)) > shufflesharding.MaxHashBits:
		errs = append(errs, field.Invalid(hand, queuing.HandSize,
			fmt.Sprintf("is too large for %d queues: a hand needs more than the %d bits of a hash: choose fewer queues or a smaller hand", queuing.Queues, shufflesharding.MaxHashBits)))
	}
	return errs
}
