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
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// Burst is the most instances that one round makes or deletes; the rest follows when they have
// been seen. It bounds what a slip of the keyboard costs before somebody can take it back.
const Burst = 500

// BurstBytes is the most bytes of instances that one round makes, as they are stored; one instance
// is always made. What a round made has been seen by the watch before the next one begins, so that
// large instances are made as fast as the server takes them in, and not all at once.
const BurstBytes = 16 << 20

// Why a release cannot reach its number: reasons of events and of the condition.
const (
	reasonFailedCreate     = "FailedCreate"
	reasonSuccessfulCreate = "SuccessfulCreate"
	reasonFailedDelete     = "FailedDelete"
	reasonSuccessfulDelete = "SuccessfulDelete"
)

// longestMessage is the most that a condition may say.
const longestMessage = 32768

// kind is what a release's instances call their controller.
func kind() schema.GroupVersionKind { return v1alpha1.SchemeGroupVersion.WithKind("Release") }

// Plan says how many instances to make, or to delete, when that many count. One that is being
// deleted does neither: its instances go with it.
func Plan(release *v1alpha1.Release, active int) (create, remove int) {
	if release.DeletionTimestamp != nil {
		return 0, 0
	}
	wanted := int(ptr.Deref(release.Spec.Replicas, 1))
	create, remove = min(max(wanted-active, 0), Burst), min(max(active-wanted, 0), Burst)
	if create > 0 {
		create = min(create, max(BurstBytes/NewInstance(release).Size(), 1))
	}
	return create, remove
}

// Active are those that count.
func Active(instances []*v1alpha1.Instance) []*v1alpha1.Instance {
	var active []*v1alpha1.Instance
	for _, i := range instances {
		if helper.IsInstanceActive(i) {
			active = append(active, i)
		}
	}
	return active
}

// NewInstance is what a release's template makes. The server completes the name.
func NewInstance(release *v1alpha1.Release) *v1alpha1.Instance {
	template := release.Spec.Template.DeepCopy()
	return &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    release.Name + "-",
			Namespace:       release.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(release, kind())},
		},
		Spec: template.Spec,
	}
}

// Status counts the instances that count, and says what keeps the release from its number.
// failure is what making or deleting ended with. A failure that is already told stays as it
// was told first: its words differ from one attempt to the next, and each would be a write.
func Status(release *v1alpha1.Release, active []*v1alpha1.Instance, failure error, now time.Time) v1alpha1.ReleaseStatus {
	status := v1alpha1.ReleaseStatus{
		ObservedGeneration: release.Generation,
		Replicas:           int32(len(active)),
		Conditions:         slices.Clone(release.Status.Conditions),
	}
	for _, i := range active {
		if helper.IsInstanceReady(i) {
			status.ReadyReplicas++
		}
		if helper.IsInstanceAvailable(i, release.Spec.MinReadySeconds, now) {
			status.AvailableReplicas++
		}
	}
	told := meta.FindStatusCondition(status.Conditions, v1alpha1.ReleaseConditionReplicaFailure)
	switch {
	case failure == nil && told != nil:
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ReleaseConditionReplicaFailure)
	case failure != nil && told == nil:
		reason, message := reasonFailedCreate, failure.Error()
		if len(active) > int(ptr.Deref(release.Spec.Replicas, 1)) {
			reason = reasonFailedDelete
		}
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: v1alpha1.ReleaseConditionReplicaFailure, Status: metav1.ConditionTrue,
			Reason: reason, Message: strings.ToValidUTF8(message[:min(len(message), longestMessage)], ""),
			ObservedGeneration: release.Generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
	return status
}

// Changed says whether a status is worth a write.
func Changed(was, now v1alpha1.ReleaseStatus) bool {
	return !equality.Semantic.DeepEqual(was, now)
}

// NextCheck is when the next of the instances becomes available that are ready but have not
// been so for long enough: no watch will tell. Zero where none is waited for.
func NextCheck(release *v1alpha1.Release, active []*v1alpha1.Instance, now time.Time) time.Duration {
	wait := time.Duration(release.Spec.MinReadySeconds) * time.Second
	next := time.Duration(0)
	for _, i := range active {
		since, ready := helper.InstanceReadySince(i)
		if !ready || since.IsZero() {
			continue
		}
		if left := since.Add(wait).Sub(now); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}
