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
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateNamespace checks a new namespace.
func ValidateNamespace(namespace *corev1.Namespace) field.ErrorList {
	return append(validateMeta(&namespace.ObjectMeta, false, apivalidation.ValidateNamespaceName), validateSpecFinalizers(namespace)...)
}

// ValidateNamespaceUpdate checks a write; the strategy has kept spec and status as they were.
func ValidateNamespaceUpdate(namespace, _ *corev1.Namespace) field.ErrorList {
	return validateMetaUpdate(&namespace.ObjectMeta)
}

// ValidateNamespaceStatusUpdate checks the metadata, and holds the phase to what deletion has
// come to.
func ValidateNamespaceStatusUpdate(namespace, _ *corev1.Namespace) field.ErrorList {
	want, when := corev1.NamespaceActive, "as long as metadata.deletionTimestamp is not set"
	if !namespace.DeletionTimestamp.IsZero() {
		want, when = corev1.NamespaceTerminating, "once metadata.deletionTimestamp is set"
	}
	errs := validateMetaUpdate(&namespace.ObjectMeta)
	if namespace.Status.Phase == want {
		return errs
	}
	// The capital is the field's name in a kube-apiserver's answer.
	return append(errs, field.Invalid(field.NewPath("status", "Phase"), namespace.Status.Phase, "must be "+string(want)+" "+when))
}

// ValidateNamespaceFinalizeUpdate checks a write to the finalizers in the spec.
func ValidateNamespaceFinalizeUpdate(namespace, _ *corev1.Namespace) field.ErrorList {
	return append(validateMetaUpdate(&namespace.ObjectMeta), validateSpecFinalizers(namespace)...)
}

func validateSpecFinalizers(namespace *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec", "finalizers")
	for i, finalizer := range namespace.Spec.Finalizers {
		errs = append(errs, apivalidation.ValidateFinalizerName(string(finalizer), path.Index(i))...)
		errs = append(errs, validateStandardFinalizer(string(finalizer), path.Index(i))...)
	}
	return errs
}
