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
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// ValidateObjectName checks the name of an object of this group: a DNS subdomain, like the names of
// pods and nodes.
var ValidateObjectName = apivalidation.NameIsDNSSubdomain

// validateConditions checks each condition. A declarative rule reports duplicate types, which would
// otherwise be reported twice.
func validateConditions(conditions []metav1.Condition, path *field.Path) field.ErrorList {
	return slices.DeleteFunc(metav1validation.ValidateConditions(conditions, path), func(err *field.Error) bool {
		return err.Type == field.ErrorTypeDuplicate
	})
}

// validateIP takes an IPv4 or IPv6 address in canonical form, or nothing.
func validateIP(address string, path *field.Path) field.ErrorList {
	if address == "" {
		return nil
	}
	return utilvalidation.IsValidIP(path, address)
}

// isExtended reports whether a resource is not one of Gatehouse: its name has a domain.
func isExtended(name fleet.ResourceName) bool {
	return strings.Contains(string(name), "/")
}

// validateResourceList checks names and amounts. known are the names without a domain
// that make sense at this place.
func validateResourceList(list fleet.ResourceList, known []fleet.ResourceName, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		amount, at := list[name], path.Key(string(name))
		switch {
		case slices.Contains(known, name):
		case isExtended(name):
			for _, message := range utilvalidation.IsQualifiedName(string(name)) {
				errs = append(errs, field.Invalid(at, name, message))
			}
		default:
			errs = append(errs, field.NotSupported(at, name, known))
			continue
		}
		errs = append(errs, validateAmount(name, amount, at)...)
	}
	return errs
}

func validateAmount(name fleet.ResourceName, amount resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if amount.Sign() < 0 {
		errs = append(errs, field.Invalid(path, amount.String(), apivalidation.IsNegativeErrorMsg))
	}
	if (isExtended(name) || name == fleet.ResourceInstances) && amount.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, amount.String(), "must be a whole number"))
	}
	return errs
}
