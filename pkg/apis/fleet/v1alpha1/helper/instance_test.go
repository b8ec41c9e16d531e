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

package helper

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestWhichInstancesCount(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ready := func(status metav1.ConditionStatus, since time.Time) []metav1.Condition {
		return []metav1.Condition{
			{Type: v1alpha1.InstanceConditionScheduled, Status: metav1.ConditionTrue},
			{Type: v1alpha1.InstanceConditionReady, Status: status, LastTransitionTime: metav1.NewTime(since)},
		}
	}
	for _, tc := range []struct {
		name                               string
		phase                              v1alpha1.InstancePhase
		deleted                            bool
		conditions                         []metav1.Condition
		minReadySeconds                    int32
		terminal, active, isReady, isThere bool
	}{
		{name: "a new one is active", active: true},
		{name: "a pending one is active", phase: v1alpha1.InstancePending, active: true},
		{name: "an instance on an unreachable host is active", phase: v1alpha1.InstanceUnknown, active: true},
		{name: "one that succeeded has ended", phase: v1alpha1.InstanceSucceeded, terminal: true},
		{name: "one that failed has ended", phase: v1alpha1.InstanceFailed, terminal: true},
		{name: "one that is being deleted is not active, and has not ended", phase: v1alpha1.InstanceRunning, deleted: true},
		{name: "ready, without minReadySeconds, is available", conditions: ready(metav1.ConditionTrue, now), active: true, isReady: true, isThere: true},
		{name: "ready without a time, without minReadySeconds, is available", conditions: ready(metav1.ConditionTrue, time.Time{}), active: true, isReady: true, isThere: true},
		{name: "ready for less than minReadySeconds is not available", conditions: ready(metav1.ConditionTrue, now.Add(-9*time.Second)), minReadySeconds: 10, active: true, isReady: true},
		{name: "ready for exactly minReadySeconds is available", conditions: ready(metav1.ConditionTrue, now.Add(-10*time.Second)), minReadySeconds: 10, active: true, isReady: true, isThere: true},
		{name: "ready without a time is not available with minReadySeconds", conditions: ready(metav1.ConditionTrue, time.Time{}), minReadySeconds: 1, active: true, isReady: true},
		{name: "not ready for long is not available", conditions: ready(metav1.ConditionFalse, now.Add(-time.Hour)), active: true},
		{name: "unknown is not ready", conditions: ready(metav1.ConditionUnknown, now.Add(-time.Hour)), active: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := &v1alpha1.Instance{Status: v1alpha1.InstanceStatus{Phase: tc.phase, Conditions: tc.conditions}}
			if tc.deleted {
				i.DeletionTimestamp = &metav1.Time{Time: now}
			}
			if IsInstanceTerminal(i) != tc.terminal || IsInstanceActive(i) != tc.active || IsInstanceReady(i) != tc.isReady || IsInstanceAvailable(i, tc.minReadySeconds, now) != tc.isThere {
				t.Errorf("terminal %t, active %t, ready %t, available %t", IsInstanceTerminal(i), IsInstanceActive(i), IsInstanceReady(i), IsInstanceAvailable(i, tc.minReadySeconds, now))
			}
		})
	}
}
