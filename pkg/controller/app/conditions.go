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
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Reasons of the condition Progressing.
const (
	// NewReleaseCreatedReason: the release of a new version was created.
	NewReleaseCreatedReason = "NewReleaseCreated"
	// FoundNewReleaseReason: the release of the version existed already.
	FoundNewReleaseReason = "FoundNewRelease"
	// ReleaseCreateErrorReason: the release of a new version cannot be created.
	ReleaseCreateErrorReason = v1alpha1.AppReasonReleaseCreateError
	// ReleaseUpdatedReason: the newest version made progress.
	ReleaseUpdatedReason = "ReleaseUpdated"
	// NewReleaseAvailableReason: the newest version has taken over.
	NewReleaseAvailableReason = "NewReleaseAvailable"
	// ProgressDeadlineExceededReason: the rollout has made no progress for too long.
	ProgressDeadlineExceededReason = v1alpha1.AppReasonProgressDeadlineExceeded
	// PausedReason: the rollout is paused, and has no deadline.
	PausedReason = v1alpha1.AppReasonPaused
	// ResumedReason: the rollout is resumed, and its deadline starts again.
	ResumedReason = "AppResumed"
)

// Reasons of the condition Available.
const (
	// MinimumReplicasAvailableReason: as many instances are available as the strategy requires.
	MinimumReplicasAvailableReason = "MinimumReplicasAvailable"
	// MinimumReplicasUnavailableReason: fewer are.
	MinimumReplicasUnavailableReason = "MinimumReplicasUnavailable"
)

// setCondition sets a condition unless only its message differs, and reports whether it did. The
// transition time changes with the status only.
func setCondition(status *v1alpha1.AppStatus, condition metav1.Condition) bool {
	current := meta.FindStatusCondition(status.Conditions, condition.Type)
	if current != nil && current.Status == condition.Status && current.Reason == condition.Reason {
		return false
	}
	return meta.SetStatusCondition(&status.Conditions, condition)
}

// progressing sets the condition Progressing. A change restarts the deadline, except for one that
// reports that it has passed.
func progressing(status *v1alpha1.AppStatus, is metav1.ConditionStatus, reason, message string, now metav1.Time) {
	if setCondition(status, metav1.Condition{
		Type: v1alpha1.AppConditionProgressing, Status: is, Reason: reason, Message: message, LastTransitionTime: now,
	}) && reason != ProgressDeadlineExceededReason {
		status.LastProgressTime = &now
	}
}

// progressed sets the condition Progressing and restarts the deadline even if nothing differs,
// because each step counts.
func progressed(status *v1alpha1.AppStatus, reason, message string, now metav1.Time) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.AppConditionProgressing, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: now,
	})
	status.LastProgressTime = &now
}

// progressReason returns the reason of the condition Progressing; empty if there is none.
func progressReason(status *v1alpha1.AppStatus) string {
	if condition := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionProgressing); condition != nil {
		return condition.Reason
	}
	return ""
}

// notePause sets the condition Progressing when an app was paused or resumed, so that the pause does
// not count for the deadline. A deadline that has passed stays reported.
func notePause(app *v1alpha1.App, now metav1.Time) {
	reason := progressReason(&app.Status)
	switch {
	case !HasProgressDeadline(app) || reason == ProgressDeadlineExceededReason:
	case app.Spec.Paused && reason != PausedReason:
		progressing(&app.Status, metav1.ConditionUnknown, PausedReason, "the rollout is paused; set spec.paused to false to resume it", now)
	case !app.Spec.Paused && reason == PausedReason:
		progressing(&app.Status, metav1.ConditionUnknown, ResumedReason, "the rollout is resumed", now)
	}
}

// noteStart sets the condition Progressing when an app is scaled up from 0, which starts a rollout:
// that it was complete without an instance proves nothing about its version. It compares with the
// stored status, so that a failed write is repeated.
func noteStart(app *v1alpha1.App, newest *v1alpha1.Release, now metav1.Time) {
	switch {
	case !HasProgressDeadline(app) || app.Spec.Paused || newest == nil:
	case progressReason(&app.Status) != NewReleaseAvailableReason || app.Status.Replicas > 0 || app.Status.ObservedGeneration >= app.Generation:
	case wanted(app) > 0:
		progressed(&app.Status, ReleaseUpdatedReason, subject(app, newest)+" is started, because the app was scaled up from 0", now)
	}
}

// replicaFailure returns the condition ReplicaFailure of a release, the newest one's first.
func replicaFailure(releases []*v1alpha1.Release, newest *v1alpha1.Release) *metav1.Condition {
	for _, release := range append([]*v1alpha1.Release{newest}, releases...) {
		if release == nil {
			continue
		}
		if failure := meta.FindStatusCondition(release.Status.Conditions, v1alpha1.ReleaseConditionReplicaFailure); failure != nil {
			promoted := *failure
			promoted.Type = v1alpha1.AppConditionReplicaFailure
			promoted.ObservedGeneration = 0 // that is of the release
			return &promoted
		}
	}
	return nil
}

// subject returns the subject of messages about progress.
func subject(app *v1alpha1.App, newest *v1alpha1.Release) string {
	if newest == nil {
		return fmt.Sprintf("app %q", app.Name)
	}
	return fmt.Sprintf("release %q", newest.Name)
}
