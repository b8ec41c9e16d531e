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

// Package validation validates access reviews. Code, reason and field of each error are those of a
// kube-apiserver; the messages are our own.
//
// Stage 4 of the request path (see ARCHITECTURE.md). pkg/registry/authorization calls it.
package validation

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateSubjectAccessReview checks a review for a user or groups.
func ValidateSubjectAccessReview(review *authorizationv1.SubjectAccessReview) field.ErrorList {
	return append(validateSpec(&review.Spec), validateEmptyMeta(review.ObjectMeta)...)
}

// ValidateLocalSubjectAccessReview checks a review for a user or groups in one namespace.
func ValidateLocalSubjectAccessReview(review *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	meta := review.ObjectMeta
	meta.Namespace = ""
	errs := append(validateSpec(&review.Spec), validateEmptyMeta(meta)...)
	spec := field.NewPath("spec")
	if resource := review.Spec.ResourceAttributes; resource != nil && resource.Namespace != review.Namespace {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes", "namespace"), resource.Namespace, "must match metadata.namespace"))
	}
	if path := review.Spec.NonResourceAttributes; path != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), path, "paths are in no namespace: use a SubjectAccessReview"))
	}
	return errs
}

// ValidateSelfSubjectAccessReview checks a review for the caller.
func ValidateSelfSubjectAccessReview(review *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	return append(validateAttributes(review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), validateEmptyMeta(review.ObjectMeta)...)
}

func validateSpec(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "name a user or a group at least"))
	}
	return errs
}

func validateAttributes(resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) field.ErrorList {
	at := field.NewPath("spec")
	var errs field.ErrorList
	switch {
	case resource == nil && path == nil:
		errs = append(errs, field.Invalid(at.Child("resourceAttributes"), resource, "must be set, or else nonResourceAttributes: a review is of one of them"))
	case resource != nil && path != nil:
		errs = append(errs, field.Invalid(at.Child("nonResourceAttributes"), path, "must not be combined with resourceAttributes: set only one of them"))
	}
	if resource == nil {
		return errs
	}
	at = at.Child("resourceAttributes")
	if s := resource.FieldSelector; s != nil {
		errs = append(errs, validateFieldSelector(s, at.Child("fieldSelector"))...)
	}
	if s := resource.LabelSelector; s != nil {
		errs = append(errs, validateLabelSelector(s, at.Child("labelSelector"))...)
	}
	return errs
}

// Bounds of a selector, which a kube-apiserver does not have. The first two are far above those of
// list requests; a raw selector comes in a URL, of which most proxies take 8 KiB.
const (
	maxRequirements = 100
	maxValues       = 1000
	maxRawSelector  = 64 << 10
)

func validateFieldSelector(s *authorizationv1.FieldSelectorAttributes, at *field.Path) field.ErrorList {
	errs := validateSelector(s.RawSelector, len(s.Requirements), at)
	if len(s.Requirements) > maxRequirements {
		return errs
	}
	options := metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
	for i, requirement := range s.Requirements {
		path := at.Child("requirements").Index(i)
		if tooMany := validateValues(requirement.Values, path); tooMany != nil {
			errs = append(errs, tooMany)
			continue
		}
		errs = append(errs, metav1validation.ValidateFieldSelectorRequirement(requirement, options, path)...)
	}
	return errs
}

func validateLabelSelector(s *authorizationv1.LabelSelectorAttributes, at *field.Path) field.ErrorList {
	errs := validateSelector(s.RawSelector, len(s.Requirements), at)
	if len(s.Requirements) > maxRequirements {
		return errs
	}
	options := metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
	for i, requirement := range s.Requirements {
		path := at.Child("requirements").Index(i)
		if tooMany := validateValues(requirement.Values, path); tooMany != nil {
			errs = append(errs, tooMany)
			continue
		}
		errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(requirement, options, path)...)
	}
	return errs
}

func validateValues(values []string, at *field.Path) *field.Error {
	if len(values) > maxValues {
		return field.TooMany(at.Child("values"), len(values), maxValues)
	}
	return nil
}

func validateSelector(raw string, requirements int, at *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(at.Child("rawSelector"), raw, "must not be given together with requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(at.Child("requirements"), "give requirements or a rawSelector, or leave the selector out")}
	case len(raw) > maxRawSelector:
		return field.ErrorList{field.TooLong(at.Child("rawSelector"), "", maxRawSelector)}
	case requirements > maxRequirements:
		return field.ErrorList{field.TooMany(at.Child("requirements"), requirements, maxRequirements)}
	}
	return nil
}

// validateEmptyMeta refuses names: no review is stored.
func validateEmptyMeta(meta metav1.ObjectMeta) field.ErrorList {
	meta.ManagedFields = nil
	if apiequality.Semantic.DeepEqual(metav1.ObjectMeta{}, meta) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, "must be empty, except for the namespace of a local review: nothing is stored")}
}
