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
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// everything stands for all of a list.
const everything = "*"

// oneOf refuses what is not among the values.
func oneOf[T ~string](value T, at *field.Path, among ...T) field.ErrorList {
	if slices.Contains(among, value) {
		return nil
	}
	slices.Sort(among)
	return field.ErrorList{field.NotSupported(at, value, among)}
}

func validateFailurePolicy(policy admissionregistrationv1.FailurePolicyType, at *field.Path) field.ErrorList {
	return oneOf(policy, at, admissionregistrationv1.Fail, admissionregistrationv1.Ignore)
}

func validateMatchPolicy(policy admissionregistrationv1.MatchPolicyType, at *field.Path) field.ErrorList {
	return oneOf(policy, at, admissionregistrationv1.Equivalent, admissionregistrationv1.Exact)
}

func validateReinvocationPolicy(policy admissionregistrationv1.ReinvocationPolicyType, at *field.Path) field.ErrorList {
	return oneOf(policy, at, admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
}

// noneBeside refuses an asterisk beside other values: it stands for them already.
func noneBeside[T ~string](values []T, what string, at *field.Path) field.ErrorList {
	if len(values) < 2 || !slices.Contains(values, everything) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, values, "* matches all "+what+": leave the others out")}
}

// validateRule checks which requests a webhook or a policy matches.
func validateRule(rule *admissionregistrationv1.RuleWithOperations, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Operations) == 0 {
		errs = append(errs, field.Required(at.Child("operations"), "name at least one operation, such as CREATE, or * for all"))
	}
	errs = append(errs, noneBeside(rule.Operations, "operations", at.Child("operations"))...)
	for i, operation := range rule.Operations {
		errs = append(errs, oneOf(operation, at.Child("operations").Index(i), admissionregistrationv1.OperationAll,
			admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete, admissionregistrationv1.Connect)...)
	}
	if len(rule.APIGroups) == 0 {
		errs = append(errs, field.Required(at.Child("apiGroups"), `name at least one group; "" is the core group, and * all`))
	}
	errs = append(errs, noneBeside(rule.APIGroups, "groups", at.Child("apiGroups"))...)
	if len(rule.APIVersions) == 0 {
		errs = append(errs, field.Required(at.Child("apiVersions"), "name at least one version, such as v1, or * for all"))
	}
	errs = append(errs, noneBeside(rule.APIVersions, "versions", at.Child("apiVersions"))...)
	for i, version := range rule.APIVersions {
		if version == "" {
			errs = append(errs, field.Required(at.Child("apiVersions").Index(i), "a version has a name, such as v1"))
		}
	}
	errs = append(errs, validateResources(rule.Resources, at.Child("resources"))...)
	if rule.Scope != nil {
		errs = append(errs, oneOf(*rule.Scope, at.Child("scope"), admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope)...)
	}
	return errs
}

// validateResources refuses resources and subresources that another entry stands for already.
// Of those after an entry, that is: Kubernetes takes them in the other order, and there are
// manifests that rely on it.
func validateResources(resources []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(resources) == 0 {
		errs = append(errs, field.Required(at, "name at least one resource, such as pods or pods/status, or * for all"))
	}
	allBelow, belowAll := sets.New[string](), sets.New[string]() // of pods/* and of */status
	named := false
	for i, entry := range resources {
		if entry == "" {
			errs = append(errs, field.Required(at.Index(i), "a resource has a name, such as pods"))
			continue
		}
		resource, below, isBelow := strings.Cut(entry, "/")
		if !isBelow {
			named = entry != everything
			continue
		}
		if allBelow.Has(resource) {
			errs = append(errs, field.Invalid(at.Index(i), entry, resource+"/* includes it"))
		}
		if belowAll.Has(below) {
			errs = append(errs, field.Invalid(at.Index(i), entry, "*/"+below+" includes it"))
		}
		if below == everything {
			allBelow.Insert(resource)
		}
		if resource == everything {
			belowAll.Insert(below)
		}
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		errs = append(errs, field.Invalid(at, resources, "*/* matches everything: leave the others out"))
	}
	if named && slices.Contains(resources, everything) {
		errs = append(errs, field.Invalid(at, resources, "* matches all resources: leave out those that are not subresources"))
	}
	return errs
}

// validateMatchResources checks what a policy or a binding matches. Defaults have filled in
// what must be there.
func validateMatchResources(match *admissionregistrationv1.MatchResources, at *field.Path) field.ErrorList {
	if match == nil {
		return nil
	}
	var errs field.ErrorList
	if match.MatchPolicy == nil {
		errs = append(errs, field.Required(at.Child("matchPolicy"), "must be Exact or Equivalent"))
	} else {
		errs = append(errs, validateMatchPolicy(*match.MatchPolicy, at.Child("matchPolicy"))...)
	}
	errs = append(errs, validateRequiredSelector(match.NamespaceSelector, at.Child("namespaceSelector"))...)
	errs = append(errs, validateRequiredSelector(match.ObjectSelector, at.Child("objectSelector"))...)
	errs = append(errs, validateNamedRules(match.ResourceRules, at.Child("resourceRules"))...)
	return append(errs, validateNamedRules(match.ExcludeResourceRules, at.Child("excludeResourceRules"))...)
}

func validateRequiredSelector(selector *metav1.LabelSelector, at *field.Path) field.ErrorList {
	if selector == nil {
		return field.ErrorList{field.Required(at, "one that is empty selects everything")}
	}
	return metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, at)
}

func validateNamedRules(rules []admissionregistrationv1.NamedRuleWithOperations, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		rule, at := &rules[i], at.Index(i)
		seen := sets.New[string]()
		for j, name := range rule.ResourceNames {
			at := at.Child("resourceNames").Index(j)
			for _, message := range content.IsPathSegmentName(name) {
				errs = append(errs, field.Invalid(at, name, message))
			}
			if seen.Has(name) {
				errs = append(errs, field.Duplicate(at, name))
			}
			seen.Insert(name)
		}
		errs = append(errs, validateRule(&rule.RuleWithOperations, at)...)
	}
	return errs
}

// validateMutable refuses to mutate what is about to be deleted.
func validateMutable(match *admissionregistrationv1.MatchResources, at *field.Path) field.ErrorList {
	if match == nil {
		return nil
	}
	var errs field.ErrorList
	for _, rule := range match.ResourceRules {
		for _, operation := range rule.Operations {
			errs = append(errs, oneOf(operation, at.Child("resourceRules", "operations"), admissionregistrationv1.OperationAll,
				admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Connect)...)
		}
	}
	return errs
}
