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

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// standardFinalizers are the finalizers without a domain that have a meaning.
var standardFinalizers = []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}

// maxDataSize is what a secret or a config map may hold, values taken together.
const maxDataSize = 1024 * 1024

// validateMeta checks the metadata of a new object. On update the library does, but for the
// finalizers; see docs/decisions/0004-metadata-validation-on-update.md.
func validateMeta(meta *metav1.ObjectMeta, namespaced bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	path := field.NewPath("metadata")
	return append(apivalidation.ValidateObjectMeta(meta, namespaced, name, path), validateMetaUpdate(meta)...)
}

// validateMetaUpdate checks what the library does not.
func validateMetaUpdate(meta *metav1.ObjectMeta) field.ErrorList {
	var errs field.ErrorList
	for i, finalizer := range meta.Finalizers {
		errs = append(errs, validateStandardFinalizer(finalizer, field.NewPath("metadata", "finalizers").Index(i))...)
	}
	return errs
}

// ValidateFinalizers checks the finalizers of an object of another group of Kubernetes.
func ValidateFinalizers(meta *metav1.ObjectMeta) field.ErrorList { return validateMetaUpdate(meta) }

// validateStandardFinalizer refuses a name without a domain that is not a standard finalizer.
func validateStandardFinalizer(name string, path *field.Path) field.ErrorList {
	if strings.Contains(name, "/") || slices.Contains(standardFinalizers, name) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "must begin with a domain, as in example.com/name, or be one of "+strings.Join(standardFinalizers, ", "))}
}

// validateDataKey checks a key of a secret or a config map.
func validateDataKey(key string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, message := range utilvalidation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Key(key), key, message))
	}
	return errs
}

// immutable returns the error for a change of an immutable object.
func immutable(path *field.Path) *field.Error {
	return field.Forbidden(path, "the object is immutable: delete it and create another")
}

// isTrue reports whether an optional boolean is set and true.
func isTrue(value *bool) bool { return value != nil && *value }
