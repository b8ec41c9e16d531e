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
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// IsTerminalPhase reports whether no other phase follows.
func IsTerminalPhase(phase v1alpha1.InstancePhase) bool {
	return phase == v1alpha1.InstanceSucceeded || phase == v1alpha1.InstanceFailed
}

// IsInstanceTerminal reports whether an instance has ended for good.
func IsInstanceTerminal(i *v1alpha1.Instance) bool { return IsTerminalPhase(i.Status.Phase) }

// IsInstanceActive reports whether an instance counts as a replica: it has not ended, and is not
// being deleted.
func IsInstanceActive(i *v1alpha1.Instance) bool {
	return !IsInstanceTerminal(i) && i.DeletionTimestamp == nil
}

// IsInstanceReady reports whether the condition Ready of an instance is True.
func IsInstanceReady(i *v1alpha1.Instance) bool {
	return meta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.InstanceConditionReady)
}

// InstanceReadySince returns when a ready instance became ready; false if it is not.
func InstanceReadySince(i *v1alpha1.Instance) (time.Time, bool) {
	ready := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.InstanceConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		return time.Time{}, false
	}
	return ready.LastTransitionTime.Time, true
}

// IsInstanceAvailable reports whether an instance has been ready for that many seconds. An
// instance without the transition time of its condition is not available, unless minReadySeconds is 0.
func IsInstanceAvailable(i *v1alpha1.Instance, minReadySeconds int32, now time.Time) bool {
	since, ready := InstanceReadySince(i)
	if !ready || minReadySeconds == 0 {
		return ready
	}
	return !since.IsZero() && !since.Add(time.Duration(minReadySeconds)*time.Second).After(now)
}
