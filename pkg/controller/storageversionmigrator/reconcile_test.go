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

package storageversionmigrator

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// made returns a migration that was created at a second, with these conditions; a - before one makes it False.
func made(name string, second int64, conditions ...string) *migration {
	m := &migration{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(second, 0))}}
	for _, kind := range conditions {
		kind, off := strings.CutPrefix(kind, "-")
		status := metav1.ConditionTrue
		if off {
			status = metav1.ConditionFalse
		}
		m.Status.Conditions = append(m.Status.Conditions, metav1.Condition{Type: kind, Status: status})
	}
	return m
}

func TestOneMigrationOfAResourceRunsAtATimeAndTheOldestFirst(t *testing.T) {
	nameOf := func(m *migration) string {
		if m == nil {
			return ""
		}
		return m.Name
	}
	for _, tc := range []struct {
		name          string
		all           []*migration
		start, active string
		ended         []string
	}{
		{name: "none"},
		{name: "a new one starts", all: []*migration{made("a", 1)}, start: "a"},
		{name: "the oldest starts", all: []*migration{made("a", 2), made("b", 1), made("c", 3)}, start: "b"},
		{name: "of two that are as old, the first by name starts", all: []*migration{made("b", 1), made("a", 1)}, start: "a"},
		{name: "none starts while another runs", all: []*migration{made("a", 1), made("b", 2, "Running")}, active: "b"},
		{name: "the next one starts after one that has succeeded", all: []*migration{made("a", 1, "-Running", "Succeeded"), made("b", 2)}, start: "b"},
		{name: "the next one starts after one that has failed before it ran", all: []*migration{made("a", 1, "Failed"), made("b", 2)}, start: "b"},
		{name: "one that has ended no longer runs", all: []*migration{made("a", 1, "Running", "Succeeded"), made("b", 1, "Running", "Failed")}, ended: []string{"a", "b"}},
		{name: "an end and a start", all: []*migration{made("a", 1, "Running", "Succeeded"), made("b", 2)}, start: "b", ended: []string{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := decide(tc.all)
			var ended []string
			for _, m := range next.ended {
				ended = append(ended, m.Name)
			}
			if nameOf(next.start) != tc.start || nameOf(next.active) != tc.active || !slices.Equal(ended, tc.ended) {
				t.Errorf("starts %q, runs %q, ended %q", nameOf(next.start), nameOf(next.active), ended)
			}
		})
	}
}

func TestAResourceMayBeUnknownForAMinute(t *testing.T) {
	m := made("a", 100)
	for second, want := range map[int64]bool{100: false, 159: false, 160: true, 1000: true} {
		if isFinal(m, time.Unix(second, 0)) != want {
			t.Errorf("at second %d: not %v", second, want)
		}
	}
}

func TestOneErrorThatNoRetryCuresFailsAMigration(t *testing.T) {
	resource := schema.GroupResource{Resource: "configmaps"}
	busy, broken, refused := apierrors.NewTooManyRequestsError("later"), apierrors.NewInternalError(errors.New("webhook")), apierrors.NewForbidden(resource, "x", errors.New("denied"))
	for _, tc := range []struct {
		name  string
		errs  []error
		want  error
		later bool
	}{
		{"no error", nil, nil, false},
		{"a busy server", []error{busy}, busy, true},
		{"a webhook that cannot be called", []error{broken, busy}, broken, true},
		{"a refusal after a busy server", []error{busy, refused}, refused, false},
	} {
		if got := first(tc.errs); got != tc.want || isTransient(got) != tc.later {
			t.Errorf("%s: %v, which is transient: %v", tc.name, got, isTransient(got))
		}
	}
}

func TestConditionsAreThoseOfKubernetes(t *testing.T) {
	for _, tc := range []struct {
		condition             metav1.Condition
		kind, reason, message string
	}{
		{isRunning(0, 0, nil), "Running", "MigrationRunning", "The migration is running"},
		{isRunning(3, 7, nil), "Running", "MigrationRunning", "The migration is running, 3/7 objects not yet migrated"},
		{isRunning(0, 7, nil), "Running", "MigrationRunning", "The migration is running, 7 objects verified migrated"},
		{isRunning(3, 7, errors.New("busy")), "Running", "MigrationRunning", "The migration is running, 3/7 objects not yet migrated; transient error: busy"},
		{succeeded(), "Succeeded", "StorageVersionMigrationSucceeded", "Migration completed"},
		{failed("why"), "Failed", "StorageVersionMigrationFailed", "why"},
	} {
		m := with(made("a", 1), tc.condition)
		if got := m.Status.Conditions[0]; got.Type != tc.kind || got.Status != metav1.ConditionTrue || got.Reason != tc.reason || got.Message != tc.message || got.LastTransitionTime.IsZero() {
			t.Errorf("got %+v", got)
		}
		if !is(m, storagemigrationv1.MigrationConditionType(tc.kind)) {
			t.Errorf("%s is not True", tc.kind)
		}
	}
}
