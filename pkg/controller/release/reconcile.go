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

// Burst bounds the instances that one round creates or deletes; the rest follows when these have been
// observed. It bounds the cost of a mistyped number until a user corrects it.
const Burst = 500

// BurstBytes bounds the stored bytes of the instances that one round creates; one instance is always
// created. The watch shows a round before the next one begins, so that large instances are created
// as fast as the server stores them, and not all at once.
const BurstBytes = 16 << 20

// Reasons of events and of the condition ReplicaFailure.
const (
	reasonFailedCreate     = "FailedCreate"
	reasonSuccessfulCreate = "SuccessfulCreate"
	reasonFailedDelete     = "FailedDelete"
	reasonSuccessfulDelete = "SuccessfulDelete"
)

// longestMessage bounds the message of a condition, in bytes.
const longestMessage = 32768

// kind returns the kind in owner references to releases.
func kind() schema.GroupVersionKind { return v1alpha1.SchemeGroupVersion.WithKind("Release") }

// Plan returns the number of instances to create, or to delete, given the number of active ones; none
// for a release that is being deleted, because its instances are garbage collected.
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

// Active returns the active instances.
func Active(instances []*v1alpha1.Instance) []*v1alpha1.Instance {
	var active []*v1alpha1.Instance
	for _, i := range instances {
		if helper.IsInstanceActive(i) {
			active = append(active, i)
		}
	}
	return active
}

// NewInstance returns an instance of a release's template. The server generates the name.
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

// Status counts the active instances, and sets the condition ReplicaFailure. failure is the error of
// creating or deleting. A condition that is already set keeps its message: messages differ between
// attempts, and each would be a write.
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

// Changed reports whether a status must be written.
func Changed(was, now v1alpha1.ReleaseStatus) bool {
	return !equality.Semantic.DeepEqual(was, now)
}

// NextCheck returns the time until the next ready instance becomes available, which no watch event
// announces; zero if none will.
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
