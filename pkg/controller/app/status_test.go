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

package app

import (
	"math"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestWhenAnAppIsLookedAtAgain(t *testing.T) {
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	complete := func(app *v1alpha1.App) {
		app.Status.ObservedGeneration, app.Status.Replicas, app.Status.UpdatedReplicas, app.Status.AvailableReplicas = 1, 3, 3, 3
	}
	for _, tc := range []struct {
		name string
		app  *v1alpha1.App
		want time.Duration
	}{
		{"not without a deadline", makeApp(3, says(yes, ReleaseUpdatedReason, noon), func(a *v1alpha1.App) { a.Spec.ProgressDeadlineSeconds = nil }), 0},
		{"not without a deadline, as the maximum", makeApp(3, says(yes, ReleaseUpdatedReason, noon), func(a *v1alpha1.App) { a.Spec.ProgressDeadlineSeconds = ptr.To[int32](math.MaxInt32) }), 0},
		{"not where nothing has begun", makeApp(3), 0},
		{"not when it is complete", makeApp(3, says(yes, ReleaseUpdatedReason, noon), complete), 0},
		{"not when time is up", makeApp(3, says(no, ProgressDeadlineExceededReason, noon)), 0},
		{"not when it was complete, and instances fail", makeApp(3, says(yes, NewReleaseAvailableReason, noon)), 0},
		{"not while it is paused", makeApp(3, isPaused, says(unknown, PausedReason, noon)), 0},
		{"when time will be up", makeApp(3, says(yes, ReleaseUpdatedReason, noon.Add(-30*time.Second))), 31 * time.Second},
		{"when the time that it has after a pause will be up", makeApp(3, says(unknown, ResumedReason, noon.Add(-10*time.Second))), 51 * time.Second},
		{"soon, when time is just up", makeApp(3, says(yes, ReleaseUpdatedReason, noon.Add(-60*time.Second))), time.Second},
		{"soon, when time has been up", makeApp(3, says(yes, NewReleaseCreatedReason, noon.Add(-time.Hour))), time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, waits := CheckAfter(tc.app, &tc.app.Status, noon)
			if got != tc.want || waits != (tc.want > 0) {
				t.Errorf("after %s (%t), want %s", got, waits, tc.want)
			}
			// The deadline has passed by then, or the app would be requeued forever.
			if waits && !TimedOut(tc.app, &tc.app.Status, noon.Add(got)) {
				t.Error("the deadline has not passed when the app is requeued")
			}
		})
	}
}

func TestStatusOfARollout(t *testing.T) {
	long, now := noon.Add(-time.Hour), metav1.NewTime(noon)
	failing := func(r *v1alpha1.Release) {
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ReleaseConditionReplicaFailure, Status: metav1.ConditionTrue, Reason: "Quota", ObservedGeneration: 4, LastTransitionTime: now}}
	}
	for _, tc := range []struct {
		name         string
		app          *v1alpha1.App
		newest       *v1alpha1.Release
		reason       string
		progress     time.Time
		failure      bool
		availability string
	}{
		{"progress is noted", makeApp(3, says(metav1.ConditionTrue, ReleaseUpdatedReason, long)), makeRelease(9, 3, available(1)), ReleaseUpdatedReason, noon, false, MinimumReplicasUnavailableReason},
		{"completion is noted", makeApp(3, says(metav1.ConditionTrue, ReleaseUpdatedReason, long)), makeRelease(9, 3), NewReleaseAvailableReason, noon, false, MinimumReplicasAvailableReason},
		{"time that is up is no progress", makeApp(3, says(metav1.ConditionTrue, ReleaseUpdatedReason, long)), makeRelease(9, 0), ProgressDeadlineExceededReason, long, false, MinimumReplicasUnavailableReason},
		{"a failure is passed on", makeApp(3, says(metav1.ConditionTrue, ReleaseUpdatedReason, noon)), makeRelease(9, 0, failing), ReleaseUpdatedReason, noon, true, MinimumReplicasUnavailableReason},
		{"no deadline, no progress", makeApp(3, says(metav1.ConditionTrue, ReleaseUpdatedReason, long), func(a *v1alpha1.App) { a.Spec.ProgressDeadlineSeconds = nil }), makeRelease(9, 3), "", time.Time{}, false, MinimumReplicasAvailableReason},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status := RolloutStatus(tc.app, []*v1alpha1.Release{tc.newest}, tc.newest, now)
			if got := progressReason(&status); got != tc.reason || !ptr.Deref(status.LastProgressTime, metav1.Time{}).Time.Equal(tc.progress) {
				t.Errorf("got %s, since %s", got, status.LastProgressTime)
			}
			if got := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionAvailable); got == nil || got.Reason != tc.availability || got.Message == "" {
				t.Errorf("got %v", got)
			}
			if got := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionReplicaFailure); (got != nil) != tc.failure || got != nil && got.ObservedGeneration != 0 {
				t.Errorf("got %v", got)
			}
		})
	}
}
