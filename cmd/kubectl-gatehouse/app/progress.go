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
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// progress is the progress of a rollout. It is what -o json prints.
type progress struct {
	App       string `json:"app"`
	Namespace string `json:"namespace"`
	// Revision is the app's newest; 0 if the controller has not numbered it yet.
	Revision int64 `json:"revision"`
	// Done and Failed are both false while the rollout is in progress.
	Done   bool `json:"done"`
	Failed bool `json:"failed"`
	Paused bool `json:"paused"`
	// Message describes the state for users.
	Message string `json:"message"`
	// Reason is why the first instance that waits does so, or why there is none, such as
	// ImagePullBackOff or FailedCreate; empty if no problem is known.
	Reason string `json:"reason,omitempty"`

	Replicas          int32 `json:"replicas"`
	UpdatedReplicas   int32 `json:"updatedReplicas"`
	ReadyReplicas     int32 `json:"readyReplicas"`
	AvailableReplicas int32 `json:"availableReplicas"`
	OldReplicas       int32 `json:"oldReplicas"`
}

// progressOf returns the progress of a rollout, by the rules of kubectl for Deployments. revision is
// the revision to wait for; 0 for the newest.
func progressOf(app *v1alpha1.App, revision int64) progress {
	status := &app.Status
	p := progress{
		App: app.Name, Namespace: app.Namespace, Paused: app.Spec.Paused, Revision: helper.ValidRevision(app),
		Replicas:        ptr.Deref(app.Spec.Replicas, 1),
		UpdatedReplicas: status.UpdatedReplicas, ReadyReplicas: status.ReadyReplicas, AvailableReplicas: status.AvailableReplicas,
		OldReplicas: max(status.Replicas-status.UpdatedReplicas, 0),
	}
	var cause string
	p.Reason, cause = causeOf(app)
	waiting := func(format string, args ...any) progress {
		p.Message = fmt.Sprintf("Waiting for app %q rollout to finish: ", app.Name) + fmt.Sprintf(format, args...) + "..."
		if cause != "" {
			p.Message += " (" + cause + ")"
		}
		if p.Paused {
			p.Message += fmt.Sprintf(" (paused: \"kubectl gatehouse rollout resume %s\" continues it)", app.Name)
		}
		return p
	}
	failed := func(format string, args ...any) progress {
		p.Failed, p.Message = true, fmt.Sprintf(format, args...)
		return p
	}
	if app.Generation > status.ObservedGeneration {
		p.Message = fmt.Sprintf("Waiting for app %q spec update to be observed...", app.Name)
		return p
	}
	if revision > 0 && p.Revision != revision {
		return failed("app %q is at revision %d, not at revision %d", app.Name, p.Revision, revision)
	}
	if c := apimeta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionProgressing); c != nil && c.Reason == v1alpha1.AppReasonProgressDeadlineExceeded {
		return failed("app %q exceeded its progress deadline: %s", app.Name, c.Message)
	}
	if c := apimeta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionStalled); c != nil && c.Status == metav1.ConditionTrue &&
		(c.Reason == v1alpha1.ReasonChangedAtAdmission || c.Reason == v1alpha1.AppReasonReleaseCreateError) {
		return failed("app %q cannot be rolled out: %s: %s", app.Name, c.Reason, c.Message)
	}
	switch {
	case p.UpdatedReplicas < p.Replicas:
		return waiting("%d out of %d new replicas have been updated", p.UpdatedReplicas, p.Replicas)
	case p.OldReplicas > 0:
		return waiting("%d old replicas are pending termination", p.OldReplicas)
	case p.AvailableReplicas < p.UpdatedReplicas:
		return waiting("%d of %d updated replicas are available", p.AvailableReplicas, p.UpdatedReplicas)
	}
	p.Reason = ""
	p.Done, p.Message = true, fmt.Sprintf("app %q successfully rolled out", app.Name)
	return p
}

// causeOf returns why an app is not ready, as a reason and in words, if its condition Ready has more
// than numbers.
func causeOf(app *v1alpha1.App) (reason, cause string) {
	ready := apimeta.FindStatusCondition(app.Status.Conditions, v1alpha1.AppConditionReady)
	if ready == nil || ready.Status != metav1.ConditionFalse || ready.ObservedGeneration < app.Generation || helper.IsGenericAppReason(ready.Reason) {
		return "", ""
	}
	// The numbers come first, and are printed already.
	_, cause, found := strings.Cut(ready.Message, "; ")
	if !found {
		cause = ready.Message
	}
	if !strings.Contains(cause, ready.Reason) {
		cause = ready.Reason + ": " + cause
	}
	return ready.Reason, cause
}

const barWidth = 20

// bar draws how many of the wanted replicas are new and available.
func (p progress) bar() string {
	done := max(0, min(p.Replicas, p.AvailableReplicas, p.UpdatedReplicas, p.UpdatedReplicas+p.OldReplicas))
	filled := barWidth
	if p.Replicas > 0 {
		filled = int(done) * barWidth / int(p.Replicas)
	}
	return fmt.Sprintf("[%s%s] %d/%d", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), done, p.Replicas)
}
