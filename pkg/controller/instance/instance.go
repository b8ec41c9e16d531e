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

// Package instance has the rules about instances that several controllers share: which are active,
// which are ready, and since when. They are those for pods (k8s.io/kubernetes pkg/api/v1/pod and
// pkg/controller).
package instance

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Terminal reports whether an instance has ended.
func Terminal(i *v1alpha1.Instance) bool {
	return i.Status.Phase == v1alpha1.InstanceSucceeded || i.Status.Phase == v1alpha1.InstanceFailed
}

// Active reports whether an instance counts as a replica: it has not ended, and is not being deleted.
func Active(i *v1alpha1.Instance) bool {
	return !Terminal(i) && i.DeletionTimestamp == nil
}

// Ready reports whether the instance's host reports it as ready.
func Ready(i *v1alpha1.Instance) bool {
	return meta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.InstanceConditionReady)
}

// ReadySince returns when a ready instance became ready; false for one that is not.
func ReadySince(i *v1alpha1.Instance) (time.Time, bool) {
	ready := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.InstanceConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		return time.Time{}, false
	}
	return ready.LastTransitionTime.Time, true
}

// Available reports whether an instance has been ready for that many seconds. A condition without a
// transition time counts only if minReadySeconds is 0.
func Available(i *v1alpha1.Instance, minReadySeconds int32, now time.Time) bool {
	since, ready := ReadySince(i)
	if !ready || minReadySeconds == 0 {
		return ready
	}
	return !since.IsZero() && !since.Add(time.Duration(minReadySeconds)*time.Second).After(now)
}
