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
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

// HasProgressDeadline reports whether an app's rollout has a deadline.
func HasProgressDeadline(app *v1alpha1.App) bool {
	return app.Spec.ProgressDeadlineSeconds != nil && *app.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

// Complete reports whether all instances that an app wants are of the newest version and available,
// and no others are left.
func Complete(app *v1alpha1.App, status *v1alpha1.AppStatus) bool {
	return status.UpdatedReplicas == wanted(app) && status.Replicas == wanted(app) &&
		status.AvailableReplicas == wanted(app) && status.ObservedGeneration >= app.Generation
}

// Progressing reports whether a rollout has progressed since the app's own status was written: there
// are more instances of the newest version or fewer old ones, more are ready, or more are available.
func Progressing(app *v1alpha1.App, status *v1alpha1.AppStatus) bool {
	return MarkOf(app, &app.Status).beyond(status)
}

// TimedOut reports whether a rollout has not progressed for longer than the app allows, now or
// before. A completed rollout gets no new deadline when some of its instances fail.
func TimedOut(app *v1alpha1.App, status *v1alpha1.AppStatus, now time.Time) bool {
	if progressReason(status) == ProgressDeadlineExceededReason {
		return HasProgressDeadline(app)
	}
	deadline, waits := deadlineOf(app, status)
	return waits && deadline.Before(now)
}

// deadlineOf returns the time by which a rollout must progress; false if it has no deadline.
func deadlineOf(app *v1alpha1.App, status *v1alpha1.AppStatus) (time.Time, bool) {
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionProgressing)
	if !HasProgressDeadline(app) || condition == nil || condition.Reason == NewReleaseAvailableReason {
		return time.Time{}, false
	}
	from := condition.LastTransitionTime
	if status.LastProgressTime != nil {
		from = *status.LastProgressTime
	}
	return from.Add(time.Duration(*app.Spec.ProgressDeadlineSeconds) * time.Second), true
}

// CheckAfter returns the time after which an app must be reconciled without an event, because its
// deadline will have passed; false if it has none.
func CheckAfter(app *v1alpha1.App, status *v1alpha1.AppStatus, now time.Time) (time.Duration, bool) {
	deadline, waits := deadlineOf(app, status)
	if !waits || app.Spec.Paused || progressReason(status) == ProgressDeadlineExceededReason || Complete(app, status) {
		return 0, false
	}
	// One second more: times in a status are whole seconds, and the deadline itself has not passed.
	return max(deadline.Sub(now), 0) + time.Second, true
}

// SizeStatus returns the status of an app with the counts of its releases and the condition
// Available. It keeps the other conditions of the app's status.
func SizeStatus(app *v1alpha1.App, releases []*v1alpha1.Release, newest *v1alpha1.Release, now metav1.Time) v1alpha1.AppStatus {
	available := AvailableReplicaCount(releases)
	status := v1alpha1.AppStatus{
		ObservedGeneration:  app.Generation,
		Replicas:            ActualReplicaCount(releases),
		UpdatedReplicas:     ActualReplicaCount([]*v1alpha1.Release{newest}),
		ReadyReplicas:       ReadyReplicaCount(releases),
		AvailableReplicas:   available,
		UnavailableReplicas: max(ReplicaCount(releases)-available, 0),
		CollisionCount:      app.Status.CollisionCount,
		LastProgressTime:    app.Status.LastProgressTime,
		Conditions:          slices.Clone(app.Status.Conditions),
	}
	condition := metav1.Condition{
		Type: v1alpha1.AppConditionAvailable, Status: metav1.ConditionTrue, LastTransitionTime: now,
		Reason: MinimumReplicasAvailableReason, Message: "as many instances are available as the strategy requires",
	}
	if available < wanted(app)-MaxUnavailable(app) {
		condition.Status = metav1.ConditionFalse
		condition.Reason, condition.Message = MinimumReplicasUnavailableReason, "fewer instances are available than the strategy requires"
	}
	setCondition(&status, condition)
	return status
}

// RolloutStatus returns SizeStatus with the conditions Progressing and ReplicaFailure.
func RolloutStatus(app *v1alpha1.App, releases []*v1alpha1.Release, newest *v1alpha1.Release, now metav1.Time) v1alpha1.AppStatus {
	return rolloutStatus(app, releases, newest, MarkOf(app, &app.Status), now)
}

// rolloutStatus returns RolloutStatus of an app with the mark as its furthest progress.
func rolloutStatus(app *v1alpha1.App, releases []*v1alpha1.Release, newest *v1alpha1.Release, mark Mark, now metav1.Time) v1alpha1.AppStatus {
	status := SizeStatus(app, releases, newest, now)
	// A completed rollout is not restarted by instances that fail and are replaced.
	done := status.Replicas == status.UpdatedReplicas && progressReason(&app.Status) == NewReleaseAvailableReason
	switch {
	case !HasProgressDeadline(app):
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.AppConditionProgressing)
		status.LastProgressTime = nil
	case done:
	case Complete(app, &status):
		progressing(&status, metav1.ConditionTrue, NewReleaseAvailableReason, subject(app, newest)+" has taken over", now)
	case mark.beyond(&status):
		progressed(&status, ReleaseUpdatedReason, subject(app, newest)+" is taking over", now)
	case TimedOut(app, &status, now.Time):
		_, why := waitsFor(app, &status, newest)
		progressing(&status, metav1.ConditionFalse, ProgressDeadlineExceededReason, subject(app, newest)+" has made no progress for longer than progressDeadlineSeconds: "+health.Cut(why), now)
	}
	if failure := replicaFailure(releases, newest); failure != nil {
		setCondition(&status, *failure)
	} else {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.AppConditionReplicaFailure)
	}
	return status
}
