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

// Package validation validates objects of rbac.authorization.k8s.io. Code,
// reason and field of each error are those of a kube-apiserver; the messages are our own.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The strategies in pkg/registry/rbac
// call one function for each write.
package validation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// name of a role or a binding: anything that can stand in a path, colons among it.
func name(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

func validateMeta(meta *metav1.ObjectMeta, namespaced bool) field.ErrorList {
	return apivalidation.ValidateObjectMeta(meta, namespaced, name, field.NewPath("metadata"))
}

// ValidateRole checks a role as it would be stored; on update the library checks the metadata.
func ValidateRole(role *rbacv1.Role, isNew bool) field.ErrorList {
	var errs field.ErrorList
	if isNew {
		errs = validateMeta(&role.ObjectMeta, true)
	}
	return append(errs, validateRules(role.Rules, true)...)
}

// ValidateClusterRole checks a cluster role as it would be stored.
func ValidateClusterRole(role *rbacv1.ClusterRole, isNew bool) field.ErrorList {
	var errs field.ErrorList
	if isNew {
		errs = validateMeta(&role.ObjectMeta, false)
	}
	errs = append(errs, validateRules(role.Rules, false)...)
	if role.AggregationRule == nil {
		return errs
	}
	selectors := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(role.AggregationRule.ClusterRoleSelectors) == 0 {
		errs = append(errs, field.Required(selectors, "name at least one selector, or leave aggregationRule out"))
	}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		errs = append(errs, metav1validation.ValidateLabelSelector(&role.AggregationRule.ClusterRoleSelectors[i], metav1validation.LabelSelectorValidationOptions{}, selectors.Index(i))...)
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

func validateRule(rule *rbacv1.PolicyRule, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Verbs) == 0 {
		errs = append(errs, field.Required(at.Child("verbs"), "a rule must have at least one verb, such as get"))
	}
	if len(rule.NonResourceURLs) > 0 {
		if namespaced {
			errs = append(errs, field.Invalid(at.Child("nonResourceURLs"), rule.NonResourceURLs, "paths are in no namespace: use a ClusterRole"))
		}
		if len(rule.APIGroups) > 0 || len(rule.Resources) > 0 || len(rule.ResourceNames) > 0 {
			errs = append(errs, field.Invalid(at.Child("nonResourceURLs"), rule.NonResourceURLs, "a rule is about paths or about resources: make it two"))
		}
		return errs
	}
	if len(rule.APIGroups) == 0 {
		errs = append(errs, field.Required(at.Child("apiGroups"), `a rule about resources must name their groups; "" is the core group`))
	}
	if len(rule.Resources) == 0 {
		errs = append(errs, field.Required(at.Child("resources"), "a rule about resources must name them"))
	}
	return errs
}

// ValidateRoleBinding checks a role binding; old is nil for a new one.
func ValidateRoleBinding(binding, old *rbacv1.RoleBinding) field.ErrorList {
	var errs field.ErrorList
	if old == nil {
		errs = validateMeta(&binding.ObjectMeta, true)
	} else {
		errs = validateSameRole(binding.RoleRef, old.RoleRef)
	}
	errs = append(errs, validateRoleRef(binding.RoleRef, "Role", "ClusterRole")...)
	return append(errs, validateSubjects(binding.Subjects, true)...)
}

// ValidateClusterRoleBinding checks a cluster role binding; old is nil for a new one.
func ValidateClusterRoleBinding(binding, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	var errs field.ErrorList
	if old == nil {
		errs = validateMeta(&binding.ObjectMeta, false)
	} else {
		errs = validateSameRole(binding.RoleRef, old.RoleRef)
	}
	errs = append(errs, validateRoleRef(binding.RoleRef, "ClusterRole")...)
	return append(errs, validateSubjects(binding.Subjects, false)...)
}

// validateSameRole refuses a change of roleRef: the right to change subjects must not allow giving
// the subjects another role.
func validateSameRole(ref, old rbacv1.RoleRef) field.ErrorList {
	if ref == old {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("roleRef"), ref, "cannot change roleRef: delete the binding and create another")}
}

func validateRoleRef(ref rbacv1.RoleRef, kinds ...string) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("roleRef")
	if ref.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(at.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	known := false
	for _, kind := range kinds {
		known = known || kind == ref.Kind
	}
	if !known {
		errs = append(errs, field.NotSupported(at.Child("kind"), ref.Kind, kinds))
	}
	if ref.Name == "" {
		return append(errs, field.Required(at.Child("name"), "a binding must name its role"))
	}
	for _, message := range name(ref.Name, false) {
		errs = append(errs, field.Invalid(at.Child("name"), ref.Name, message))
	}
	return errs
}

func validateSubjects(subjects []rbacv1.Subject, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i := range subjects {
		errs = append(errs, validateSubject(&subjects[i], namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func validateSubject(subject *rbacv1.Subject, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if subject.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "a subject must have a name"))
	}
	group := rbacv1.GroupName
	switch subject.Kind {
	case rbacv1.UserKind, rbacv1.GroupKind:
	case rbacv1.ServiceAccountKind:
		group = ""
		if subject.Name != "" {
			for _, message := range apivalidation.ValidateServiceAccountName(subject.Name, false) {
				errs = append(errs, field.Invalid(at.Child("name"), subject.Name, message))
			}
		}
		if !namespaced && subject.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), "a service account is one of a namespace"))
		}
	default:
		return append(errs, field.NotSupported(at.Child("kind"), subject.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	if subject.APIGroup != group {
		errs = append(errs, field.NotSupported(at.Child("apiGroup"), subject.APIGroup, []string{group}))
	}
	return errs
}
