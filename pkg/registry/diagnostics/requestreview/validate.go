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

package requestreview

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

var (
	verbs            = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	patchTypeNames   = []diagnostics.ReviewPatchType{diagnostics.ReviewPatchApply, diagnostics.ReviewPatchJSON, diagnostics.ReviewPatchMerge, diagnostics.ReviewPatchStrategicMerge}
	fieldValidations = []string{metav1.FieldValidationIgnore, metav1.FieldValidationStrict, metav1.FieldValidationWarn}
)

// validate returns the errors of a spec.
func validate(spec *diagnostics.RequestReviewSpec) field.ErrorList {
	at := field.NewPath("spec")
	errs := validateResource(spec, at.Child("resource"))
	switch {
	case spec.Verb == "":
		errs = append(errs, field.Required(at.Child("verb"), ""))
	case !slices.Contains(verbs, spec.Verb):
		errs = append(errs, field.NotSupported(at.Child("verb"), spec.Verb, verbs))
	default:
		errs = append(errs, validateBody(spec, at)...)
	}
	if spec.User != nil {
		if spec.User.Username == "" {
			errs = append(errs, field.Required(at.Child("user", "username"), "name a user, or leave spec.user out for a review of the caller itself"))
		}
		for i, extra := range spec.User.Extra {
			if extra.Key == "" {
				errs = append(errs, field.Required(at.Child("user", "extra").Index(i).Child("key"), ""))
			}
		}
	}
	if spec.FieldValidation != "" && !slices.Contains(fieldValidations, spec.FieldValidation) {
		errs = append(errs, field.NotSupported(at.Child("fieldValidation"), spec.FieldValidation, fieldValidations))
	}
	return errs
}

func validateResource(spec *diagnostics.RequestReviewSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	r := spec.Resource
	for _, part := range []struct {
		name, value string
		required    bool
	}{
		{"group", r.Group, false},
		{"version", r.Version, true},
		{"resource", r.Resource, true},
		{"subresource", r.Subresource, false},
		{"namespace", r.Namespace, false},
		{"name", r.Name, false},
	} {
		if part.value == "" {
			if part.required {
				errs = append(errs, field.Required(at.Child(part.name), "kubectl api-resources lists the resources with their versions"))
			}
			continue
		}
		for _, wrong := range content.IsPathSegmentName(part.value) {
			errs = append(errs, field.Invalid(at.Child(part.name), part.value, wrong))
		}
	}
	if r.Group == diagnostics.GroupName && r.Resource == v1alpha1.RequestReviews {
		errs = append(errs, field.Forbidden(at.Child("resource"), "a review of a review is not possible"))
	}
	if r.Subresource != "" && r.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "a subresource belongs to an object"))
	}
	switch spec.Verb {
	case "get", "update", "patch", "delete":
		if r.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), "the verb "+spec.Verb+" is about one object"))
		}
	case "create":
		if r.Name != "" && r.Subresource == "" {
			errs = append(errs, field.Forbidden(at.Child("name"), "the name of an object that is created is in spec.object"))
		}
	case "list", "watch", "deletecollection":
		if r.Name != "" {
			errs = append(errs, field.Forbidden(at.Child("name"), "the verb "+spec.Verb+" is about all objects"))
		}
	}
	return errs
}

// validateBody checks that a spec has what its verb needs, and nothing that would have no effect.
func validateBody(spec *diagnostics.RequestReviewSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	writes := spec.Verb == "create" || spec.Verb == "update"
	needsObject := spec.Verb == "update" || spec.Verb == "create" && spec.Resource.Subresource == ""
	hasObject := spec.Object != nil && len(spec.Object.Raw) > 0
	switch {
	case needsObject && !hasObject:
		errs = append(errs, field.Required(at.Child("object"), "the verb "+spec.Verb+" needs an object"))
	case !writes && hasObject:
		errs = append(errs, field.Forbidden(at.Child("object"), "the verb "+spec.Verb+" takes no object"))
	}
	switch patches := spec.Verb == "patch"; {
	case !patches && (spec.Patch != "" || spec.PatchType != "" || spec.Force):
		errs = append(errs, field.Forbidden(at.Child("patch"), "patch, patchType and force belong to the verb patch"))
	case patches && spec.Patch == "":
		errs = append(errs, field.Required(at.Child("patch"), ""))
	case patches && spec.PatchType == "":
		errs = append(errs, field.Required(at.Child("patchType"), "name one of Apply, JSON, Merge and StrategicMerge"))
	case patches && !slices.Contains(patchTypeNames, spec.PatchType):
		errs = append(errs, field.NotSupported(at.Child("patchType"), spec.PatchType, patchTypeNames))
	case patches && spec.PatchType == diagnostics.ReviewPatchApply && spec.FieldManager == "":
		errs = append(errs, field.Required(at.Child("fieldManager"), "Apply needs a field manager"))
	case spec.Force && spec.PatchType != diagnostics.ReviewPatchApply:
		errs = append(errs, field.Forbidden(at.Child("force"), "only Apply can be forced"))
	}
	if spec.FieldManager != "" && !writes && spec.Verb != "patch" {
		errs = append(errs, field.Forbidden(at.Child("fieldManager"), "the verb "+spec.Verb+" sets no fields"))
	}
	if spec.Preconditions != nil && spec.Verb != "delete" {
		errs = append(errs, field.Forbidden(at.Child("preconditions"), "only a delete has preconditions"))
	}
	return errs
}
