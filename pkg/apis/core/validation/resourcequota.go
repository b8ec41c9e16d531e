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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Names without a domain that a quota may limit. Most mean pods and volumes, which are not
// served here; a quota that names them is valid nevertheless, as in every cluster.
var (
	countedResources = sets.New(
		corev1.ResourcePods, corev1.ResourceServices, corev1.ResourceReplicationControllers, corev1.ResourceQuotas, corev1.ResourceSecrets,
		corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
	)
	measuredResources = sets.New(
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsStorage, corev1.ResourceRequestsEphemeralStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
	)
)

// Resources to which scopes apply.
var (
	podResources = sets.New(
		corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
	)
	volumeResources = sets.New(corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage)
)

// scopes are all that there are, with the resources that each applies to.
var scopes = map[corev1.ResourceQuotaScope]sets.Set[corev1.ResourceName]{
	corev1.ResourceQuotaScopeTerminating:               podResources,
	corev1.ResourceQuotaScopeNotTerminating:            podResources,
	corev1.ResourceQuotaScopeBestEffort:                sets.New(corev1.ResourcePods),
	corev1.ResourceQuotaScopeNotBestEffort:             podResources,
	corev1.ResourceQuotaScopePriorityClass:             podResources,
	corev1.ResourceQuotaScopeCrossNamespacePodAffinity: podResources,
	corev1.ResourceQuotaScopeVolumeAttributesClass:     volumeResources,
}

// contradictions are scopes of which nothing can have both.
var contradictions = [][]corev1.ResourceQuotaScope{
	{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
	{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
}

// withoutValues are scopes that something has or has not.
var withoutValues = sets.New(
	corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating,
	corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeCrossNamespacePodAffinity,
)

// ValidateResourceQuota checks a new quota.
func ValidateResourceQuota(quota *corev1.ResourceQuota) field.ErrorList {
	return append(validateMeta(&quota.ObjectMeta, true, apivalidation.NameIsDNSSubdomain), validateQuotaSpec(&quota.Spec)...)
}

// ValidateResourceQuotaUpdate checks a write: what a quota counts cannot change under it.
func ValidateResourceQuotaUpdate(quota, old *corev1.ResourceQuota) field.ErrorList {
	errs := append(validateMetaUpdate(&quota.ObjectMeta), validateQuotaSpec(&quota.Spec)...)
	if !sets.New(quota.Spec.Scopes...).Equal(sets.New(old.Spec.Scopes...)) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "scopes"), quota.Spec.Scopes, apivalidation.FieldImmutableErrorMsg))
	}
	return errs
}

// ValidateResourceQuotaStatusUpdate checks what was counted.
func ValidateResourceQuotaStatusUpdate(quota, _ *corev1.ResourceQuota) field.ErrorList {
	path := field.NewPath("status")
	errs := validateMetaUpdate(&quota.ObjectMeta)
	errs = append(errs, validateQuotaAmounts(quota.Status.Hard, path.Child("hard"))...)
	return append(errs, validateQuotaAmounts(quota.Status.Used, path.Child("used"))...)
}

func validateQuotaSpec(spec *corev1.ResourceQuotaSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateQuotaAmounts(spec.Hard, path.Child("hard"))
	errs = append(errs, validateScopes(spec, path.Child("scopes"))...)
	return append(errs, validateScopeSelector(spec, path)...)
}

func validateQuotaAmounts(amounts corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		at := path.Key(string(name))
		errs = append(errs, validateQuotaName(name, at)...)
		errs = append(errs, validateQuotaAmount(name, amounts[name], at)...)
	}
	return errs
}

func validateQuotaName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, message := range utilvalidation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(path, name, message))
	}
	if len(errs) == 0 && !strings.Contains(string(name), "/") && !isStandardQuotaName(name) {
		errs = append(errs, field.Invalid(path, name, "must be the name of a resource that quotas support, or one with a domain, such as count/apps."+v1alpha1.GroupName))
	}
	return errs
}

func validateQuotaAmount(name corev1.ResourceName, amount resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if amount.Sign() < 0 {
		errs = append(errs, field.Invalid(path, amount.String(), apivalidation.IsNegativeErrorMsg))
	}
	if isWhole(name) && amount.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, amount.String(), "must be a whole number"))
	}
	return errs
}

func isStandardQuotaName(name corev1.ResourceName) bool {
	const hugePages = "hugepages-"
	return countedResources.Has(name) || measuredResources.Has(name) ||
		strings.HasPrefix(string(name), hugePages) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix+hugePages)
}

// isWhole reports whether amounts of a resource are integers: counts of objects, and every resource
// of a foreign domain.
func isWhole(name corev1.ResourceName) bool {
	if countedResources.Has(name) {
		return true
	}
	text := string(name)
	if !strings.Contains(text, "/") || strings.Contains(text, corev1.ResourceDefaultNamespacePrefix) || strings.HasPrefix(text, corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(utilvalidation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+text)) == 0
}

func validateScopes(spec *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, scope := range spec.Scopes {
		errs = append(errs, validateScope(scope, spec, path, path, spec.Scopes)...)
	}
	return append(errs, validateContradictions(spec.Scopes, spec, path)...)
}

// validateScope checks that a scope exists and applies to the limited resources. The fields that the
// errors name differ between the two ways to specify a scope.
func validateScope(scope corev1.ResourceQuotaScope, spec *corev1.ResourceQuotaSpec, name, use *field.Path, value any) field.ErrorList {
	applies, known := scopes[scope]
	if !known {
		return field.ErrorList{field.Invalid(name, scope, "must be a scope that quotas support")}
	}
	var errs field.ErrorList
	for _, resource := range slices.Sorted(maps.Keys(spec.Hard)) {
		if isStandardQuotaName(resource) && !applies.Has(resource) {
			errs = append(errs, field.Invalid(use, value, "scope "+string(scope)+" does not apply to "+string(resource)))
		}
	}
	return errs
}

func validateContradictions(given []corev1.ResourceQuotaScope, spec *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, pair := range contradictions {
		if slices.Contains(given, pair[0]) && slices.Contains(given, pair[1]) {
			errs = append(errs, field.Invalid(path, spec.Scopes, "nothing can be both "+string(pair[0])+" and "+string(pair[1])))
		}
	}
	return errs
}

func validateScopeSelector(spec *corev1.ResourceQuotaSpec, parent *field.Path) field.ErrorList {
	if spec.ScopeSelector == nil {
		return nil
	}
	// A kube-apiserver names the list and not the element.
	path := parent.Child("scopeSelector", "matchExpressions")
	var errs field.ErrorList
	var given []corev1.ResourceQuotaScope
	for _, requirement := range spec.ScopeSelector.MatchExpressions {
		given = append(given, requirement.ScopeName)
		errs = append(errs, validateScope(requirement.ScopeName, spec, path.Child("scopeName"), path, spec.ScopeSelector)...)
		errs = append(errs, validateRequirement(requirement, path)...)
	}
	return append(errs, validateContradictions(given, spec, path)...)
}

func validateRequirement(requirement corev1.ScopedResourceSelectorRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	operator := path.Child("operator")
	if withoutValues.Has(requirement.ScopeName) && requirement.Operator != corev1.ScopeSelectorOpExists {
		errs = append(errs, field.Invalid(operator, requirement.Operator, "must be Exists for scope "+string(requirement.ScopeName)))
	}
	switch requirement.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(requirement.Values) == 0 {
			errs = append(errs, field.Required(path.Child("values"), "In and NotIn compare with at least one value"))
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(requirement.Values) > 0 {
			errs = append(errs, field.Invalid(path.Child("values"), requirement.Values, "Exists and DoesNotExist compare with no value"))
		}
	default:
		errs = append(errs, field.Invalid(operator, requirement.Operator, "must be In, NotIn, Exists or DoesNotExist"))
	}
	return errs
}
