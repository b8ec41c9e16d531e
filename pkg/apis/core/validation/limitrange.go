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
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// limitTypes are the types without a domain.
var limitTypes = []corev1.LimitType{corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim}

// computeResources are the names without a domain that a container of a pod may have, besides huge
// pages. Instances have less: see WarningsForLimitRange.
var computeResources = sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)

// ValidateLimitRange checks a limit range, in a create and in an update.
func ValidateLimitRange(limits *corev1.LimitRange) field.ErrorList {
	errs := validateMeta(&limits.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	path := field.NewPath("spec", "limits")
	seen := sets.New[corev1.LimitType]()
	for i := range limits.Spec.Limits {
		item, at := &limits.Spec.Limits[i], path.Index(i)
		errs = append(errs, validateLimitType(item.Type, at.Child("type"))...)
		if seen.Has(item.Type) {
			errs = append(errs, field.Duplicate(at.Child("type"), item.Type))
		}
		seen.Insert(item.Type)
		errs = append(errs, validateLimitNames(item, at)...)
		errs = append(errs, validateLimitAmounts(item, at)...)
	}
	return errs
}

func validateLimitType(kind corev1.LimitType, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, message := range utilvalidation.IsQualifiedName(string(kind)) {
		errs = append(errs, field.Invalid(path, kind, message))
	}
	if len(errs) == 0 && !strings.Contains(string(kind), "/") && !slices.Contains(limitTypes, kind) {
		errs = append(errs, field.Invalid(path, kind, "must be Container, Pod or PersistentVolumeClaim, or have a domain"))
	}
	return errs
}

// lists returns the lists of an item by the names of their fields. Pods have no defaults.
func lists(item *corev1.LimitRangeItem) map[string]corev1.ResourceList {
	all := map[string]corev1.ResourceList{"min": item.Min, "max": item.Max, "maxLimitRequestRatio": item.MaxLimitRequestRatio}
	if item.Type != corev1.LimitTypePod {
		all["default"], all["defaultRequest"] = item.Default, item.DefaultRequest
	}
	return all
}

// validateLimitNames checks which lists an item has, and the names in them.
func validateLimitNames(item *corev1.LimitRangeItem, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	all := lists(item)
	for _, list := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[list])) {
			errs = append(errs, validateLimitName(item.Type, name, path.Child(list).Key(string(name)))...)
		}
	}
	if item.Type == corev1.LimitTypePod {
		const why = "a limit of type Pod has no defaults: set them for type Container"
		if len(item.Default) > 0 {
			errs = append(errs, field.Forbidden(path.Child("default"), why))
		}
		if len(item.DefaultRequest) > 0 {
			errs = append(errs, field.Forbidden(path.Child("defaultRequest"), why))
		}
	}
	_, least := item.Min[corev1.ResourceStorage]
	_, most := item.Max[corev1.ResourceStorage]
	if item.Type == corev1.LimitTypePersistentVolumeClaim && !least && !most {
		errs = append(errs, field.Required(path.Child("limits"), "a limit of type PersistentVolumeClaim has min[storage] or max[storage]"))
	}
	return errs
}

func validateLimitName(kind corev1.LimitType, name corev1.ResourceName, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, message := range utilvalidation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(path, name, message))
	}
	if len(errs) > 0 {
		return errs
	}
	plain, compute := !strings.Contains(string(name), "/"), kind == corev1.LimitTypePod || kind == corev1.LimitTypeContainer
	switch {
	case plain && compute && !computeResources.Has(name) && !isHugePages(name):
		errs = append(errs, field.Invalid(path, name, "must be a resource of containers: cpu, memory, or a name with a domain"))
	case plain && !compute && !isStandardQuotaName(name) && name != corev1.ResourceStorage:
		errs = append(errs, field.Invalid(path, name, "must be a standard resource, or a name with a domain"))
	case compute && !isNative(name) && !isWhole(name):
		errs = append(errs, field.Invalid(path, name, "must be a name of an extended resource, without the prefix "+corev1.DefaultResourceRequestsPrefix))
	}
	return errs
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// isNative reports whether a resource is Kubernetes' own.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// validateLimitAmounts checks the lists of an item against each other.
func validateLimitAmounts(item *corev1.LimitRangeItem, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	all := lists(item)
	names := sets.New[corev1.ResourceName]()
	for _, list := range all {
		names = names.Union(sets.KeySet(list))
	}
	for _, name := range sets.List(names) {
		// greater reports that a value is above another one that bounds it, if both are set.
		greater := func(list, bound, blamed string) {
			amount, ok := all[list][name]
			limit, bounded := all[bound][name]
			if ok && bounded && amount.Cmp(limit) > 0 {
				given := all[blamed][name]
				errs = append(errs, field.Invalid(path.Child(blamed).Key(string(name)), given.String(), fmt.Sprintf("%s %s is greater than %s %s", list, amount.String(), bound, limit.String())))
			}
		}
		greater("min", "max", "min")
		greater("min", "defaultRequest", "defaultRequest")
		greater("defaultRequest", "max", "defaultRequest")
		greater("defaultRequest", "default", "defaultRequest")
		greater("min", "default", "default")
		greater("default", "max", "default")
		errs = append(errs, validateLimitRatio(item, name, path.Child("maxLimitRequestRatio").Key(string(name)))...)
		limit, limited := all["default"][name]
		request, requested := all["defaultRequest"][name]
		if limited && requested && limit.Cmp(request) != 0 && (!isNative(name) || isHugePages(name)) {
			errs = append(errs, field.Invalid(path.Child("defaultRequest").Key(string(name)), request.String(), "must equal the default "+limit.String()+": "+string(name)+" cannot be overcommitted"))
		}
	}
	return errs
}

// validateLimitRatio checks that something can have the ratio: it is at least 1, and at most the
// maximum divided by the minimum.
func validateLimitRatio(item *corev1.LimitRangeItem, name corev1.ResourceName, path *field.Path) field.ErrorList {
	ratio, ok := item.MaxLimitRequestRatio[name]
	if !ok {
		return nil
	}
	var errs field.ErrorList
	if ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		errs = append(errs, field.Invalid(path, ratio.String(), "must be at least 1"))
	}
	least, hasLeast := item.Min[name]
	most, hasMost := item.Max[name]
	if hasLeast && hasMost && least.Sign() > 0 {
		if greatest := most.AsApproximateFloat64() / least.AsApproximateFloat64(); ratio.AsApproximateFloat64() > greatest {
			errs = append(errs, field.Invalid(path, ratio.String(), fmt.Sprintf("is greater than max/min = %g", greatest)))
		}
	}
	return errs
}

// WarningsForLimitRange names what has no effect on this server. It is valid: the same object may be
// used in a cluster.
func WarningsForLimitRange(limits *corev1.LimitRange) []string {
	var all []string
	for i := range limits.Spec.Limits {
		item, path := &limits.Spec.Limits[i], field.NewPath("spec", "limits").Index(i)
		if item.Type != corev1.LimitTypeContainer && item.Type != corev1.LimitTypePod {
			all = append(all, fmt.Sprintf("%s: this server stores nothing that a limit of type %s applies to, so it limits nothing here; Container and Pod apply to instances", path.Child("type"), item.Type))
			continue
		}
		byList := lists(item)
		for _, list := range slices.Sorted(maps.Keys(byList)) {
			for _, name := range slices.Sorted(maps.Keys(byList[list])) {
				if !helper.IsContainerResource(string(name)) {
					all = append(all, fmt.Sprintf("%s: containers of instances have no %s, so it limits nothing here", path.Child(list).Key(string(name)), name))
				}
			}
		}
	}
	return all
}
