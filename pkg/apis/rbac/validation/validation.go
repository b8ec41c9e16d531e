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

// Package validation says what is wrong with objects of rbac.authorization.k8s.io. Code,
// reason and field of each answer are those of a kube-apiserver; the words are ours.
//
// Stop 4 of the request's path (see ARCHITECTURE.md). The strategies in pkg/registry/rbac
// call one function for each write.
package validation

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// name allows all that fits into a path: names of roles have colons.
func name(value string, _ bool) []string { return content.IsPathSegmentName(value) }

// ValidateRole checks a new role.
func ValidateRole(role *rbacv1.Role) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&role.ObjectMeta, true, name, field.NewPath("metadata"))
	return append(errs, validateRules(role.Rules, true)...)
}

// ValidateRoleUpdate checks a write; the library checks the metadata.
func ValidateRoleUpdate(role, _ *rbacv1.Role) field.ErrorList {
	return validateRules(role.Rules, true)
}

// ValidateClusterRole checks a new cluster role.
func ValidateClusterRole(role *rbacv1.ClusterRole) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&role.ObjectMeta, false, name, field.NewPath("metadata"))
	errs = append(errs, validateRules(role.Rules, false)...)
	return append(errs, validateAggregation(role.AggregationRule, metav1validation.LabelSelectorValidationOptions{})...)
}

// ValidateClusterRoleUpdate checks a write. A value that no label can have is let through
// where the object already had one, so that it can be changed otherwise.
func ValidateClusterRoleUpdate(role, old *rbacv1.ClusterRole) field.ErrorList {
	had := len(validateAggregation(old.AggregationRule, metav1validation.LabelSelectorValidationOptions{})) > 0
	options := metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: had}
	return append(validateRules(role.Rules, false), validateAggregation(role.AggregationRule, options)...)
}

func validateAggregation(rule *rbacv1.AggregationRule, options metav1validation.LabelSelectorValidationOptions) field.ErrorList {
	if rule == nil {
		return nil
	}
	path := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(path, "name at least one selector, or remove the aggregationRule")}
	}
	var errs field.ErrorList
	for i := range rule.ClusterRoleSelectors {
		selector := &rule.ClusterRoleSelectors[i]
		errs = append(errs, metav1validation.ValidateLabelSelector(selector, options, path.Index(i))...)
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), selector, err.Error()))
		}
	}
	return errs
}

func validateRules(rules []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		errs = append(errs, validateRule(&rules[i], namespaced, field.NewPath("rules").Index(i))...)
	}
	return errs
}

func validateRule(rule *rbacv1.PolicyRule, namespaced bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Verbs) == 0 {
		errs = append(errs, field.Required(path.Child("verbs"), "name at least one verb"))
	}
	if len(rule.NonResourceURLs) > 0 {
		if namespaced {
			errs = append(errs, field.Invalid(path.Child("nonResourceURLs"), rule.NonResourceURLs, "belong to no namespace: use a ClusterRole"))
		}
		if len(rule.APIGroups)+len(rule.Resources)+len(rule.ResourceNames) > 0 {
			errs = append(errs, field.Invalid(path.Child("nonResourceURLs"), rule.NonResourceURLs, "must not be in one rule with resources: make two rules of it"))
		}
		return errs
	}
	if len(rule.APIGroups) == 0 {
		errs = append(errs, field.Required(path.Child("apiGroups"), `name at least one group; the core group is ""`))
	}
	if len(rule.Resources) == 0 {
		errs = append(errs, field.Required(path.Child("resources"), "name at least one resource"))
	}
	return errs
}

// What a binding may refer to.
var (
	rolesOfRoleBinding        = []string{"Role", "ClusterRole"}
	rolesOfClusterRoleBinding = []string{"ClusterRole"}
)

// ValidateRoleBinding checks a new role binding.
func ValidateRoleBinding(binding *rbacv1.RoleBinding) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&binding.ObjectMeta, true, name, field.NewPath("metadata"))
	return append(errs, validateBinding(&binding.RoleRef, rolesOfRoleBinding, binding.Subjects, true)...)
}

// ValidateRoleBindingUpdate checks a write; the library checks the metadata.
func ValidateRoleBindingUpdate(binding, old *rbacv1.RoleBinding) field.ErrorList {
	errs := validateBinding(&binding.RoleRef, rolesOfRoleBinding, binding.Subjects, true)
	return append(errs, apivalidation.ValidateImmutableField(binding.RoleRef, old.RoleRef, field.NewPath("roleRef"))...)
}

// ValidateClusterRoleBinding checks a new cluster role binding.
func ValidateClusterRoleBinding(binding *rbacv1.ClusterRoleBinding) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&binding.ObjectMeta, false, name, field.NewPath("metadata"))
	return append(errs, validateBinding(&binding.RoleRef, rolesOfClusterRoleBinding, binding.Subjects, false)...)
}

// ValidateClusterRoleBindingUpdate checks a write; the library checks the metadata.
func ValidateClusterRoleBindingUpdate(binding, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	errs := validateBinding(&binding.RoleRef, rolesOfClusterRoleBinding, binding.Subjects, false)
	return append(errs, apivalidation.ValidateImmutableField(binding.RoleRef, old.RoleRef, field.NewPath("roleRef"))...)
}

func validateBinding(ref *rbacv1.RoleRef, kinds []string, subjects []rbacv1.Subject, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("roleRef")
	if ref.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	if !slices.Contains(kinds, ref.Kind) {
		errs = append(errs, field.NotSupported(path.Child("kind"), ref.Kind, kinds))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "name the role"))
	}
	for _, message := range name(ref.Name, false) {
		errs = append(errs, field.Invalid(path.Child("name"), ref.Name, message))
	}
	for i := range subjects {
		errs = append(errs, validateSubject(&subjects[i], namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func validateSubject(subject *rbacv1.Subject, namespaced bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if subject.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "name the subject"))
	}
	group := rbacv1.GroupName
	switch subject.Kind {
	case rbacv1.ServiceAccountKind:
		group = ""
		if subject.Name != "" {
			for _, message := range apivalidation.ValidateServiceAccountName(subject.Name, false) {
				errs = append(errs, field.Invalid(path.Child("name"), subject.Name, message))
			}
		}
		if !namespaced && subject.Namespace == "" {
			errs = append(errs, field.Required(path.Child("namespace"), "name the service account's namespace"))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
	default:
		kinds := []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}
		return append(errs, field.NotSupported(path.Child("kind"), subject.Kind, kinds))
	}
	if subject.APIGroup != group {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), subject.APIGroup, []string{group}))
	}
	return errs
}
