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

// Package validation validates objects of storagemigration.k8s.io. Code, reason and field of each
// error are those of a kube-apiserver; the messages are our own.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The strategies in
// pkg/registry/storagemigration/migration call one function for each write.
package validation

import (
	"strings"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	corevalidation "github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
)

// ValidateStorageVersionMigration checks a new migration.
func ValidateStorageVersionMigration(migration *storagemigrationv1.StorageVersionMigration) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&migration.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, corevalidation.ValidateFinalizers(&migration.ObjectMeta)...)
	path, resource := field.NewPath("spec", "resource"), migration.Spec.Resource
	if resource.Resource == "" {
		errs = append(errs, field.Required(path.Child("resource"), "name the resource in plural, such as configmaps"))
	} else if messages := utilvalidation.IsDNS1035Label(resource.Resource); len(messages) > 0 {
		errs = append(errs, field.Invalid(path.Child("resource"), resource.Resource, strings.Join(messages, ", ")))
	}
	if resource.Group != "" {
		if messages := utilvalidation.IsDNS1123Subdomain(resource.Group); len(messages) > 0 {
			errs = append(errs, field.Invalid(path.Child("group"), resource.Group, strings.Join(messages, ", ")))
		}
	}
	return errs
}

// ValidateStorageVersionMigrationUpdate checks a change of metadata: the spec never changes.
func ValidateStorageVersionMigrationUpdate(migration, old *storagemigrationv1.StorageVersionMigration) field.ErrorList {
	errs := ValidateStorageVersionMigration(migration)
	if !apiequality.Semantic.DeepEqual(migration.Spec, old.Spec) {
		errs = append(errs, field.Invalid(field.NewPath("spec"), migration.Spec, "cannot be changed: create another migration"))
	}
	return errs
}

// ValidateStorageVersionMigrationStatusUpdate checks a change of the status. The version at which the
// migration began and its end are final.
func ValidateStorageVersionMigrationStatusUpdate(migration, old *storagemigrationv1.StorageVersionMigration) field.ErrorList {
	path, status := field.NewPath("status"), &migration.Status
	conditions, version := path.Child("conditions"), path.Child("resourceVersion")
	errs := metav1validation.ValidateConditions(status.Conditions, conditions)
	if status.ResourceVersion != "" {
		if _, err := resourceversion.CompareResourceVersion(status.ResourceVersion, status.ResourceVersion); err != nil {
			errs = append(errs, field.Invalid(version, status.ResourceVersion, err.Error()))
		}
	}
	if old.Status.ResourceVersion != "" && old.Status.ResourceVersion != status.ResourceVersion {
		errs = append(errs, field.Invalid(version, status.ResourceVersion, "cannot be changed once it is set"))
	}
	if is(migration, storagemigrationv1.MigrationSucceeded) && is(migration, storagemigrationv1.MigrationFailed) {
		errs = append(errs, field.Invalid(conditions, status.Conditions, "Succeeded and Failed cannot both be True"))
	}
	for _, end := range []storagemigrationv1.MigrationConditionType{storagemigrationv1.MigrationSucceeded, storagemigrationv1.MigrationFailed} {
		if is(old, end) && !is(migration, end) {
			errs = append(errs, field.Invalid(conditions, status.Conditions, string(end)+" stays True once it is True"))
		}
	}
	return errs
}

// is reports whether the condition is True.
func is(migration *storagemigrationv1.StorageVersionMigration, condition storagemigrationv1.MigrationConditionType) bool {
	found := meta.FindStatusCondition(migration.Status.Conditions, string(condition))
	return found != nil && found.Status == metav1.ConditionTrue
}
