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
	"strconv"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// ValidateApp checks a new app.
func ValidateApp(app *fleet.App) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&app.ObjectMeta, true, ValidateObjectName, field.NewPath("metadata"))
	errs = append(errs, validateAppSpec(&app.Spec, field.NewPath("spec"))...)
	return boundsFirst(app, nil, append(errs, validateNoHash(app.Spec.Selector, field.NewPath("spec", "selector"))...))
}

// validateNoHash checks that a new app does not choose by the label that its controller puts on
// each release, with another value each: it would not find the releases that it makes. Apps that
// are stored with such a selector, which never changes, can still be changed otherwise.
func validateNoHash(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if selector == nil {
		return nil
	}
	const cure = v1alpha1.TemplateHashLabel + " is set by the app controller, to another value on each release: choose by other labels"
	var errs field.ErrorList
	if _, found := selector.MatchLabels[v1alpha1.TemplateHashLabel]; found {
		errs = append(errs, field.Forbidden(path.Child("matchLabels").Key(v1alpha1.TemplateHashLabel), cure))
	}
	for i := range selector.MatchExpressions {
		if selector.MatchExpressions[i].Key == v1alpha1.TemplateHashLabel {
			errs = append(errs, field.Forbidden(path.Child("matchExpressions").Index(i).Child("key"), cure))
		}
	}
	return errs
}

func validateAppSpec(spec *fleet.AppSpec, path *field.Path) field.ErrorList {
	errs := validateSelector(spec.Selector, spec.Template.Labels, path.Child("selector"))
	errs = append(errs, validateTemplate(&spec.Template, path.Child("template"))...)
	errs = append(errs, validateStrategy(&spec.Strategy, path.Child("strategy"))...)
	if deadline := spec.ProgressDeadlineSeconds; deadline != nil && *deadline >= 1 && *deadline <= spec.MinReadySeconds {
		errs = append(errs, field.Invalid(path.Child("progressDeadlineSeconds"), *deadline, "must be greater than minReadySeconds: no instance would be available in time"))
	}
	return errs
}

// validateStrategy checks the fields that depend on the type. The declarative rule checks that the
// type is a known one.
func validateStrategy(strategy *fleet.AppStrategy, path *field.Path) field.ErrorList {
	switch strategy.Type {
	case fleet.RecreateAppStrategy:
		if strategy.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(path.Child("rollingUpdate"), "may not be specified when type is Recreate: remove it")}
		}
	case fleet.RollingUpdateAppStrategy:
		if strategy.RollingUpdate == nil {
			return field.ErrorList{field.Required(path.Child("rollingUpdate"), "must be specified when type is RollingUpdate")}
		}
		return validateRollingUpdate(strategy.RollingUpdate, path.Child("rollingUpdate"))
	}
	return nil
}

// validateRollingUpdate takes numbers and percentages, as Kubernetes does for deployments.
func validateRollingUpdate(rolling *fleet.RollingUpdateApp, path *field.Path) field.ErrorList {
	errs := validateShare(rolling.MaxUnavailable, path.Child("maxUnavailable"))
	errs = append(errs, validateShare(rolling.MaxSurge, path.Child("maxSurge"))...)
	if len(errs) > 0 {
		return errs
	}
	if shareOf(rolling.MaxUnavailable) == 0 && shareOf(rolling.MaxSurge) == 0 {
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), rolling.MaxUnavailable, "may not be 0 when maxSurge is 0: no instance could ever be replaced"))
	}
	if unavailable := rolling.MaxUnavailable; unavailable != nil && unavailable.Type == intstr.String && shareOf(unavailable) > 100 {
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), unavailable, "must not be greater than 100%"))
	}
	return errs
}

// validateShare checks that a share of the replicas is a number or a percentage, and not
// negative.
func validateShare(share *intstr.IntOrString, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case share == nil:
	case share.Type == intstr.String:
		for _, message := range utilvalidation.IsValidPercent(share.StrVal) {
			errs = append(errs, field.Invalid(path, share, message))
		}
		if len(errs) == 0 {
			if _, err := strconv.ParseInt(strings.TrimSuffix(share.StrVal, "%"), 10, 32); err != nil {
				errs = append(errs, field.Invalid(path, share, "is too large"))
			}
		}
	case share.IntVal < 0:
		errs = append(errs, field.Invalid(path, share.IntVal, apivalidation.IsNegativeErrorMsg))
	}
	return errs
}

// shareOf is the number of a share that is known to be valid, without its percent sign.
func shareOf(share *intstr.IntOrString) int {
	if share == nil {
		return 0
	}
	if share.Type == intstr.Int {
		return int(share.IntVal)
	}
	number, err := strconv.Atoi(strings.TrimSuffix(share.StrVal, "%"))
	if err != nil {
		return 0
	}
	return number
}

// ValidateAppUpdate checks a write to an app's spec: everything but the selector may change.
func ValidateAppUpdate(app, old *fleet.App) field.ErrorList {
	path := field.NewPath("spec")
	errs := boundsFirst(app, old, validateAppSpec(&app.Spec, path))
	return append(errs, apivalidation.ValidateImmutableField(app.Spec.Selector, old.Spec.Selector, path.Child("selector"))...)
}

// ValidateAppStatusUpdate checks a write to an app's status.
func ValidateAppStatusUpdate(app, old *fleet.App) field.ErrorList {
	errs := ValidateAppUpdate(app, old)
	status, path := &app.Status, field.NewPath("status")
	errs = append(errs, validateConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateNoMoreThan(status.UpdatedReplicas, path.Child("updatedReplicas"), status.Replicas, "replicas")...)
	errs = append(errs, validateNoMoreThan(status.ReadyReplicas, path.Child("readyReplicas"), status.Replicas, "replicas")...)
	errs = append(errs, validateNoMoreThan(status.AvailableReplicas, path.Child("availableReplicas"), status.Replicas, "replicas")...)
	errs = append(errs, validateNoMoreThan(status.AvailableReplicas, path.Child("availableReplicas"), status.ReadyReplicas, "readyReplicas")...)
	if before := old.Status.CollisionCount; before != nil {
		switch now := status.CollisionCount; {
		case now == nil:
			errs = append(errs, field.Required(path.Child("collisionCount"), "cannot be removed: the next hash would collide again"))
		case *now < *before:
			errs = append(errs, field.Invalid(path.Child("collisionCount"), *now, "cannot be decremented: the next hash would collide again"))
		}
	}
	return errs
}
