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

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// validateSelector checks the selector of an app or a release against the labels of its
// template. An empty selector would select every instance of the namespace.
func validateSelector(selector *metav1.LabelSelector, template map[string]string, path *field.Path) field.ErrorList {
	if selector == nil {
		return field.ErrorList{field.Required(path, "name the labels of the template by which the instances are found")}
	}
	errs := metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path)
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(path, selector, "must not be empty: it would choose every instance of the namespace"))
	}
	if len(errs) > 0 {
		return errs
	}
	chosen, err := metav1.LabelSelectorAsSelector(selector)
	switch {
	case err != nil:
		errs = append(errs, field.Invalid(path, selector, err.Error()))
	case !chosen.Matches(labels.Set(template)):
		errs = append(errs, field.Invalid(path, maps.Clone(selector.MatchLabels), "must match the labels of the template, which are "+labels.Set(template).String()))
	}
	return errs
}

// validateTemplate checks what instances are to be made of.
func validateTemplate(template *fleet.InstanceTemplateSpec, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(template.Labels, path.Child("metadata", "labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(template.Annotations, path.Child("metadata", "annotations"))...)
	errs = append(errs, apivalidation.ValidateFinalizers(template.Finalizers, path.Child("metadata", "finalizers"))...)
	spec := path.Child("spec")
	errs = append(errs, ValidateInstanceSpec(&template.Spec, spec)...)
	if template.Spec.HostName != "" {
		errs = append(errs, field.Forbidden(spec.Child("hostName"), "an instance is created unbound and the scheduler chooses its host; use hostSelector to narrow the choice"))
	}
	switch template.Spec.RestartPolicy {
	case fleet.RestartPolicyOnFailure, fleet.RestartPolicyNever:
		errs = append(errs, field.NotSupported(spec.Child("restartPolicy"), template.Spec.RestartPolicy, []fleet.RestartPolicy{fleet.RestartPolicyAlways}))
	}
	if template.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(spec.Child("activeDeadlineSeconds"), "instances that end are replaced, so a deadline would restart them forever"))
	}
	return errs
}

// validateNoMoreThan checks that a count of instances does not exceed one that it is a part of.
func validateNoMoreThan(part int32, path *field.Path, whole int32, of string) field.ErrorList {
	if part > whole {
		return field.ErrorList{field.Invalid(path, part, "cannot be greater than status."+of)}
	}
	return nil
}

// ValidateRelease checks a new release.
func ValidateRelease(release *fleet.Release) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&release.ObjectMeta, true, ValidateObjectName, field.NewPath("metadata"))
	return boundsFirst(release, nil, append(errs, validateReleaseSpec(&release.Spec, field.NewPath("spec"))...))
}

func validateReleaseSpec(spec *fleet.ReleaseSpec, path *field.Path) field.ErrorList {
	errs := validateSelector(spec.Selector, spec.Template.Labels, path.Child("selector"))
	return append(errs, validateTemplate(&spec.Template, path.Child("template"))...)
}

// ValidateReleaseUpdate checks a write to a release's spec: only replicas and minReadySeconds
// may change.
func ValidateReleaseUpdate(release, old *fleet.Release) field.ErrorList {
	path := field.NewPath("spec")
	errs := boundsFirst(release, old, validateReleaseSpec(&release.Spec, path))
	errs = append(errs, apivalidation.ValidateImmutableField(release.Spec.Selector, old.Spec.Selector, path.Child("selector"))...)
	template, oldTemplate := release.Spec.Template, old.Spec.Template
	template.Spec.Containers, oldTemplate.Spec.Containers = withProtocols(template.Spec.Containers), withProtocols(oldTemplate.Spec.Containers)
	if !apiequality.Semantic.DeepEqual(template, oldTemplate) {
		errs = append(errs, field.Forbidden(path.Child("template"), "never changes: change the template of the app, which makes a new release"))
	}
	return errs
}

// ValidateReleaseStatusUpdate checks a write to a release's status.
func ValidateReleaseStatusUpdate(release, old *fleet.Release) field.ErrorList {
	errs := ValidateReleaseUpdate(release, old)
	status, path := &release.Status, field.NewPath("status")
	errs = append(errs, validateConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateNoMoreThan(status.ReadyReplicas, path.Child("readyReplicas"), status.Replicas, "replicas")...)
	errs = append(errs, validateNoMoreThan(status.AvailableReplicas, path.Child("availableReplicas"), status.Replicas, "replicas")...)
	return append(errs, validateNoMoreThan(status.AvailableReplicas, path.Child("availableReplicas"), status.ReadyReplicas, "readyReplicas")...)
}
