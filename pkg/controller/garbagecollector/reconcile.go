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

// ownerState is what is known of one of an object's owners.
type ownerState int

const (
	// solid owners exist, or cannot be looked up: they keep what they own.
	solid ownerState = iota
	// absent owners do not exist: neither the name nor another object of that name counts,
	// but the UID.
	absent
	// waiting owners are being deleted in the foreground: they go when what they own is gone.
	waiting
)

// claim is an owner reference and what is known of that owner.
type claim struct {
	ref   metav1.OwnerReference
	state ownerState
}

// act is what is to be done about an object.
type act string

const (
	// leave does nothing.
	leave act = "leave"
	// releaseDependents takes the object out of the owner references of its dependents, and
	// then the orphan finalizer from the object.
	releaseDependents act = "release dependents"
	// wakeDependents has the object's dependents looked at: they see that their owner waits.
	wakeDependents act = "wake dependents"
	// letOwnersGo has the object hold up none of its owners any more: they wait for it, and it
	// for them.
	letOwnersGo act = "let owners go"
	// finish takes the foreground finalizer from the object.
	finish act = "finish"
	// dropOwners takes owners that are no more from the object: it has others.
	dropOwners act = "drop owners"
	// remove deletes the object.
	remove act = "remove"
)

// plan is an act and with what.
type plan struct {
	act act
	// drop are the owners for dropOwners.
	drop []types.UID
	// policy is how remove deletes.
	policy metav1.DeletionPropagation
	// unblock says that the object holds up an owner that it is itself an owner of: before
	// remove, its references must not block any more, or both would wait for ever.
	unblock bool
}

// decide says what is to be done about an object, given its owners, for those that are still
// to be asked about, and its dependents.
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

// decideDeleting carries out what was asked for with the deletion. Orphaning comes first:
// what is released need not be waited for.
func decideDeleting(object *metav1.ObjectMeta, dependents []*metav1.PartialObjectMetadata) plan {
	switch {
	case slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents):
		return plan{act: releaseDependents}
	case !slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents):
		return plan{act: leave}
	}
	for _, dependent := range dependents {
		if blocks(dependent, object.UID) {
			return plan{act: wakeDependents}
		}
	}
	return plan{act: finish}
}

// blocks is true where the dependent must be gone before its owner goes.
func blocks(dependent *metav1.PartialObjectMetadata, owner types.UID) bool {
	return slices.ContainsFunc(dependent.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

// holdsUp is true where the object must be gone before some owner of it goes.
func holdsUp(object *metav1.PartialObjectMetadata) bool {
	return slices.ContainsFunc(object.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

func goesInForeground(object *metav1.PartialObjectMetadata) bool {
	return object.DeletionTimestamp != nil && slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents)
}

// policyOf follows what the object itself says about its dependents.
func policyOf(object *metav1.ObjectMeta) metav1.DeletionPropagation {
	switch {
	case slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// withoutOwners are the references that are left without some.
func withoutOwners(refs []metav1.OwnerReference, drop ...types.UID) []metav1.OwnerReference {
	left := []metav1.OwnerReference{}
	for _, ref := range refs {
		if !slices.Contains(drop, ref.UID) {
			left = append(left, ref)
		}
	}
	return left
}

// unblocked are the references, none of which holds up its owner.
func unblocked(refs []metav1.OwnerReference) []metav1.OwnerReference {
	refs = slices.Clone(refs)
	for i := range refs {
		refs[i].BlockOwnerDeletion = nil
	}
	return refs
}

// concerns is true for changes that may change a decision. Heartbeats and reports of status
// do not, and are most of all writes.
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

// hasWork is true for objects that there may be something to decide about.
func hasWork(object *metav1.PartialObjectMetadata) bool {
	if object.DeletionTimestamp == nil {
		return len(object.OwnerReferences) > 0
	}
	return slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents) || slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents)
}

// onlyOwnership is all of an object's metadata that is kept in memory.
func onlyOwnership(obj any) (any, error) {
	object, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: object.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace:         object.Namespace,
		Name:              object.Name,
		UID:               object.UID,
		ResourceVersion:   object.ResourceVersion,
		OwnerReferences:   object.OwnerReferences,
		Finalizers:        object.Finalizers,
		DeletionTimestamp: object.DeletionTimestamp,
	}}, nil
}
