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

package garbagecollector

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownerState is the state of one of an object's owners.
type ownerState int

const (
	// solid owners exist, or cannot be looked up: they keep their dependents.
	solid ownerState = iota
	// absent owners do not exist. Only the UID counts, and not another object of the same name.
	absent
	// waiting owners are being deleted in the foreground, after their dependents.
	waiting
)

// claim is an owner reference and the state of that owner.
type claim struct {
	ref   metav1.OwnerReference
	state ownerState
}

// act is the action that is taken on an object.
type act string

const (
	// leave does nothing.
	leave act = "leave"
	// orphanDependents removes the object from the owner references of its dependents, and then
	// the orphan finalizer from the object.
	orphanDependents act = "orphan dependents"
	// enqueueDependents enqueues the object's dependents, because their owner now waits for them.
	enqueueDependents act = "enqueue dependents"
	// unblockOwners removes blockOwnerDeletion from the object's owner references: its owners
	// wait for it, and it waits for them.
	unblockOwners act = "unblock owners"
	// finish removes the foreground finalizer from the object.
	finish act = "finish"
	// dropOwners removes absent owners from an object that has others.
	dropOwners act = "drop owners"
	// remove deletes the object.
	remove act = "remove"
)

// plan is an action and its parameters.
type plan struct {
	act act
	// drop are the owners for dropOwners.
	drop []types.UID
	// policy is the propagation policy of remove.
	policy metav1.DeletionPropagation
	// unblock is set if the object blocks an owner of which it is itself an owner: its references
	// must be unblocked before remove, or both would wait forever.
	unblock bool
}

// decide returns the action for an object, given the states of its owners, and its dependents.
func decide(object *metav1.ObjectMeta, claims []claim, dependents []*metav1.PartialObjectMetadata) plan {
	if object.DeletionTimestamp != nil {
		return decideDeleting(object, dependents)
	}
	var keeps bool
	var gone []types.UID
	var waits bool
	for _, c := range claims {
		switch c.state {
		case solid:
			keeps = true
		case waiting:
			waits = true
			gone = append(gone, c.ref.UID)
		case absent:
			gone = append(gone, c.ref.UID)
		}
	}
	switch {
	case len(gone) == 0:
		return plan{act: leave}
	case keeps:
		return plan{act: dropOwners, drop: gone}
	case waits && len(dependents) > 0:
		return plan{act: remove, policy: metav1.DeletePropagationForeground, unblock: slices.ContainsFunc(dependents, goesInForeground)}
	}
	return plan{act: remove, policy: policyOf(object)}
}

// decideDeleting returns the action for an object that is being deleted. Orphaning comes first:
// an orphaned dependent need not be waited for.
func decideDeleting(object *metav1.ObjectMeta, dependents []*metav1.PartialObjectMetadata) plan {
	switch {
	case slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents):
		return plan{act: orphanDependents}
	case !slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents):
		return plan{act: leave}
	}
	for _, dependent := range dependents {
		if blocks(dependent, object.UID) {
			return plan{act: enqueueDependents}
		}
	}
	return plan{act: finish}
}

// blocks reports whether the dependent must be gone before the owner is deleted.
func blocks(dependent *metav1.PartialObjectMetadata, owner types.UID) bool {
	return slices.ContainsFunc(dependent.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

// blocksAny reports whether the object must be gone before any of its owners is deleted.
func blocksAny(object *metav1.PartialObjectMetadata) bool {
	return slices.ContainsFunc(object.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

func goesInForeground(object *metav1.PartialObjectMetadata) bool {
	return object.DeletionTimestamp != nil && slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents)
}

// policyOf returns the propagation policy that the object's own finalizers ask for.
func policyOf(object *metav1.ObjectMeta) metav1.DeletionPropagation {
	switch {
	case slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// withoutOwners returns the references without those to the given owners.
func withoutOwners(refs []metav1.OwnerReference, drop ...types.UID) []metav1.OwnerReference {
	left := []metav1.OwnerReference{}
	for _, ref := range refs {
		if !slices.Contains(drop, ref.UID) {
			left = append(left, ref)
		}
	}
	return left
}

// unblocked returns the references without blockOwnerDeletion.
func unblocked(refs []metav1.OwnerReference) []metav1.OwnerReference {
	refs = slices.Clone(refs)
	for i := range refs {
		refs[i].BlockOwnerDeletion = nil
	}
	return refs
}

// concerns reports whether a change may change a decision. Heartbeats and status updates do not,
// and are the bulk of all writes.
func concerns(old, now *metav1.PartialObjectMetadata) bool {
	return (old.DeletionTimestamp == nil) != (now.DeletionTimestamp == nil) ||
		!slices.Equal(old.Finalizers, now.Finalizers) || !sameOwners(old, now)
}

func sameOwners(old, now *metav1.PartialObjectMetadata) bool {
	return slices.EqualFunc(old.OwnerReferences, now.OwnerReferences, func(a, b metav1.OwnerReference) bool {
		return a.UID == b.UID && a.Name == b.Name && a.Kind == b.Kind && a.APIVersion == b.APIVersion &&
			(a.BlockOwnerDeletion != nil && *a.BlockOwnerDeletion) == (b.BlockOwnerDeletion != nil && *b.BlockOwnerDeletion)
	})
}

// hasWork reports whether an object may need an action.
func hasWork(object *metav1.PartialObjectMetadata) bool {
	if object.DeletionTimestamp == nil {
		return len(object.OwnerReferences) > 0
	}
	return slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents) || slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents)
}
