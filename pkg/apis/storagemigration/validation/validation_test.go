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
	"testing"
	"time"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func fieldsOf(errs field.ErrorList) []string {
	var fields []string
	for _, err := range errs {
		fields = append(fields, err.Field)
	}
	return fields
}

func TestMigrationsNameAResource(t *testing.T) {
	for _, tc := range []struct {
		name, group, resource string
		want                  []string
	}{
		{"all", "", "configmaps", nil},
		{"all", "rbac.authorization.k8s.io", "roles", nil},
		{"All", "", "configmaps", []string{"metadata.name"}},
		{"all", "", "", []string{"spec.resource.resource"}},
		{"all", "", "configmaps/status", []string{"spec.resource.resource"}},
		{"all", "", strings.Repeat("a", 64), []string{"spec.resource.resource"}},
		{"all", "A", "roles", []string{"spec.resource.group"}},
	} {
		migration := &storagemigrationv1.StorageVersionMigration{
			ObjectMeta: metav1.ObjectMeta{Name: tc.name},
			Spec:       storagemigrationv1.StorageVersionMigrationSpec{Resource: metav1.GroupResource{Group: tc.group, Resource: tc.resource}},
		}
		if got := fieldsOf(ValidateStorageVersionMigration(migration)); !slices.Equal(got, tc.want) {
			t.Errorf("%s %s %s: got %q, want %q", tc.name, tc.group, tc.resource, got, tc.want)
		}
		if got := fieldsOf(ValidateStorageVersionMigrationUpdate(migration, migration)); !slices.Equal(got, tc.want) {
			t.Errorf("%s %s %s in an update: got %q, want %q", tc.name, tc.group, tc.resource, got, tc.want)
		}
		other := migration.DeepCopy()
		other.Spec.Resource.Resource += "x"
		if got := fieldsOf(ValidateStorageVersionMigrationUpdate(migration, other)); !slices.Contains(got, "spec") {
			t.Errorf("%s %s %s: a changed spec is accepted: %q", tc.name, tc.group, tc.resource, got)
		}
	}
}

func TestTheVersionAndTheEndOfAMigrationAreFinal(t *testing.T) {
	state := func(version string, kinds ...string) *storagemigrationv1.StorageVersionMigration {
		migration := &storagemigrationv1.StorageVersionMigration{Status: storagemigrationv1.StorageVersionMigrationStatus{ResourceVersion: version}}
		for _, kind := range kinds {
			kind, off := strings.CutPrefix(kind, "-")
			condition := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "Tested", LastTransitionTime: metav1.NewTime(time.Unix(1, 0))}
			if off {
				condition.Status = metav1.ConditionFalse
			}
			migration.Status.Conditions = append(migration.Status.Conditions, condition)
		}
		return migration
	}
	const version, conditions = "status.resourceVersion", "status.conditions"
	for _, tc := range []struct {
		name     string
		old, new *storagemigrationv1.StorageVersionMigration
		want     []string
	}{
		{"it begins", state(""), state("", "Running"), nil},
		{"it has a version", state("", "Running"), state("7", "Running"), nil},
		{"its version is no number", state(""), state("x"), []string{version}},
		{"its version begins with zero", state(""), state("07"), []string{version}},
		{"its version changes", state("7"), state("8"), []string{version}},
		{"its version is removed", state("7"), state(""), []string{version}},
		{"it succeeds", state("7", "Running"), state("7", "Running", "Succeeded"), nil},
		{"it succeeds and fails", state("7"), state("7", "Succeeded", "Failed"), []string{conditions}},
		{"it does not run any more", state("7", "Running", "Succeeded"), state("7", "-Running", "Succeeded"), nil},
		{"its success is taken back", state("7", "Succeeded"), state("7", "-Succeeded"), []string{conditions}},
		{"its success is removed", state("7", "Succeeded"), state("7"), []string{conditions}},
		{"its failure is removed", state("7", "Failed"), state("7"), []string{conditions}},
		{"its failure becomes success", state("7", "Failed"), state("7", "Succeeded"), []string{conditions}},
		{"it runs twice", state("7"), state("7", "Running", "Running"), []string{"status.conditions[1]"}},
	} {
		if got := fieldsOf(ValidateStorageVersionMigrationStatusUpdate(tc.new, tc.old)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
