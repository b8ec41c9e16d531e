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
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

// Reasons of the condition Ready.
const (
	// UnavailableReason: instances are missing, or not available yet, for an unknown reason.
	UnavailableReason = v1alpha1.ReasonInstancesUnavailable
	// OldInstancesReason: instances of older versions are left.
	OldInstancesReason = v1alpha1.AppReasonOldInstances
)

// createErrorPatience is the time for which releases may be refused before the app is stalled:
// objects that are applied together with the app, such as a quota, may follow a moment later.
const createErrorPatience = 10 * time.Second

// Health returns the health of an app with that status. newest is its newest release, which has
// conditions that report what its instances wait for; nil if there is none.
func Health(app *v1alpha1.App, status *v1alpha1.AppStatus, newest *v1alpha1.Release, now time.Time) health.Verdict {
	progress := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionProgressing)
	reason, message := waitsFor(app, status, newest)
	stalled := newestStalled(newest)
	switch {
	case Complete(app, status) && (progress == nil || progress.Reason != ReleaseCreateErrorReason):
		return health.Verdict{State: health.Ready, Reason: NewReleaseAvailableReason, Message: fmt.Sprintf("%d of %d instances are available", status.AvailableReplicas, wanted(app))}
	case HasProgressDeadline(app) && progress != nil && progress.Reason == ProgressDeadlineExceededReason:
		if helper.IsGenericAppReason(reason) {
			reason = ""
		}
		return health.Verdict{State: health.Stalled, Reason: ProgressDeadlineExceededReason, Message: progress.Message, Cause: reason}
	case progress != nil && progress.Reason == ReleaseCreateErrorReason:
		verdict := health.Verdict{State: health.Reconciling, Reason: ReleaseCreateErrorReason, Message: progress.Message}
		if now.Sub(progress.LastTransitionTime.Time) >= createErrorPatience {
			verdict.State = health.Stalled
		}
		return verdict
	case stalled != nil:
		return health.Verdict{State: health.Stalled, Reason: stalled.Reason, Message: stalled.Message}
	case app.Spec.Paused:
		return health.Verdict{State: health.Suspended, Reason: PausedReason, Message: "the rollout is paused; " + message}
	}
	return health.Verdict{State: health.Reconciling, Reason: reason, Message: message}
}

func newestStalled(newest *v1alpha1.Release) *metav1.Condition {
	if newest == nil {
		return nil
	}
	if stalled := meta.FindStatusCondition(newest.Status.Conditions, v1alpha1.ReleaseConditionStalled); stalled != nil && stalled.Status == metav1.ConditionTrue {
		return stalled
	}
	return nil
}

// waitsFor returns what an app that is not complete waits for: the condition Ready of its newest
// release, or numbers.
func waitsFor(app *v1alpha1.App, status *v1alpha1.AppStatus, newest *v1alpha1.Release) (reason, message string) {
	if newest != nil {
		if ready := meta.FindStatusCondition(newest.Status.Conditions, v1alpha1.ReleaseConditionReady); ready != nil && ready.Status == metav1.ConditionFalse && ready.Reason != UnavailableReason {
			return ready.Reason, ready.Message
		}
	}
	if old := status.Replicas - status.UpdatedReplicas; old > 0 {
		return OldInstancesReason, fmt.Sprintf("%d of %d instances are of the newest version, and %d older ones are left", status.UpdatedReplicas, wanted(app), old)
	}
	return UnavailableReason, fmt.Sprintf("%d of %d instances are available", status.AvailableReplicas, wanted(app))
}

// withHealth sets the conditions Ready, Reconciling and Stalled. A trouble takes precedence over the
// status.
func withHealth(app *v1alpha1.App, status *v1alpha1.AppStatus, newest *v1alpha1.Release, t *trouble, now time.Time) {
	verdict := Health(app, status, newest, now)
	if t != nil {
		verdict = health.Verdict{State: health.Stalled, Reason: t.reason, Message: t.message}
	}
	if verdict.Cause != "" {
		verdict.Cause = health.ReasonOr(verdict.Cause, UnavailableReason)
	}
	verdict.Reason, verdict.Message = health.ReasonOr(verdict.Reason, UnavailableReason), health.Cut(verdict.Message)
	status.Conditions = health.Set(status.Conditions, verdict, app.Generation, metav1.NewTime(now))
}
