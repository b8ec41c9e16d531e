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

package release

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

// Reasons of the condition Ready.
const (
	// AvailableReason: all wanted instances are available.
	AvailableReason = "InstancesAvailable"
	// UnavailableReason: instances are missing, or not available yet, for an unknown reason.
	UnavailableReason = v1alpha1.ReasonInstancesUnavailable
)

// failurePatience is the time for which instances may be refused before the release is stalled:
// objects that are applied together with it, such as a service account, may follow a moment later.
const failurePatience = 10 * time.Second

// View is the input of Health.
type View struct {
	// Instances are all instances of the release, including ended ones.
	Instances []*v1alpha1.Instance
	// Held is the number of instances that ended soon after creation and are not replaced yet.
	Held int
	Now  time.Time
}

// Health returns the health of a release with that status.
func Health(release *v1alpha1.Release, status *v1alpha1.ReleaseStatus, view View) health.Verdict {
	wanted := ptr.Deref(release.Spec.Replicas, 1)
	count := fmt.Sprintf("%d of %d instances are available", status.AvailableReplicas, wanted)
	failure := meta.FindStatusCondition(status.Conditions, v1alpha1.ReleaseConditionReplicaFailure)
	switch {
	case failure != nil:
		verdict := health.Verdict{State: health.Reconciling, Reason: failure.Reason, Message: count + "; " + failure.Message}
		if view.Now.Sub(failure.LastTransitionTime.Time) >= failurePatience {
			verdict.State = health.Stalled
		}
		return verdict
	case status.AvailableReplicas == wanted && status.Replicas == wanted:
		return health.Verdict{State: health.Ready, Reason: AvailableReason, Message: count}
	}
	ready := func(i *v1alpha1.Instance) bool { return helper.IsInstanceReady(i) || !helper.IsInstanceActive(i) }
	if view.Held > 0 {
		count += fmt.Sprintf("; %d ended soon after they were created, and are replaced later each time", view.Held)
		ready = func(i *v1alpha1.Instance) bool { return !helper.IsInstanceTerminal(i) }
	}
	reason, message := health.First(view.Instances, ready)
	if reason == "" {
		return health.Verdict{State: health.Reconciling, Reason: UnavailableReason, Message: count}
	}
	return health.Verdict{State: health.Reconciling, Reason: reason, Message: count + "; " + message}
}

// withHealth sets the conditions Ready, Reconciling and Stalled.
func withHealth(release *v1alpha1.Release, status *v1alpha1.ReleaseStatus, view View) {
	verdict := Health(release, status, view)
	verdict.Reason, verdict.Message = health.ReasonOr(verdict.Reason, UnavailableReason), health.Cut(verdict.Message)
	status.Conditions = health.Set(status.Conditions, verdict, release.Generation, metav1.NewTime(view.Now))
}
