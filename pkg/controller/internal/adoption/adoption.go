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

// Package adoption says what a controller does about objects that its owner's selector
// chooses, or chose: apps with releases, releases with instances. Read Decide.
//
// The rules are those of k8s.io/kubernetes pkg/controller/controller_ref_manager.go: an object
// has one controller at most, nobody takes another's, and who is being deleted takes none.
package adoption

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Claims is what becomes of the objects that were looked at; others are not the owner's.
type Claims[T metav1.Object] struct {
	// Mine are owned and chosen.
	Mine []T
	// Adopt are chosen and nobody's. Before the owner adopts any it must be asked for live,
	// or an owner that was deleted and made again under the same name would adopt by a uid
	// that is gone.
	Adopt []T
	// Release are owned and no longer chosen.
	Release []T
}

// Decide sorts the candidates. An owner that is being deleted lets go of nothing and adopts
// nothing; objects that are being deleted are not adopted.
func Decide[T metav1.Object](owner metav1.Object, selector labels.Selector, candidates []T) Claims[T] {
	var claims Claims[T]
	for _, object := range candidates {
		chosen := selector.Matches(labels.Set(object.GetLabels()))
		switch controller := metav1.GetControllerOfNoCopy(object); {
		case controller != nil && controller.UID != owner.GetUID():
		case controller != nil && chosen:
			claims.Mine = append(claims.Mine, object)
		case owner.GetDeletionTimestamp() != nil:
		case controller != nil:
			claims.Release = append(claims.Release, object)
		case chosen && object.GetDeletionTimestamp() == nil:
			claims.Adopt = append(claims.Adopt, object)
		}
	}
	return claims
}

// patch replaces the references as a whole: a JSON merge patch cannot touch one of them. The
// resourceVersion keeps it from undoing what somebody else wrote meanwhile.
type patch struct {
	Metadata struct {
		UID             types.UID               `json:"uid"`
		ResourceVersion string                  `json:"resourceVersion"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
}

func patchOf(object metav1.Object, references []metav1.OwnerReference) ([]byte, error) {
	var p patch
	p.Metadata.UID, p.Metadata.ResourceVersion, p.Metadata.OwnerReferences = object.GetUID(), object.GetResourceVersion(), references
	return json.Marshal(p)
}

// AdoptPatch is a JSON merge patch that makes owner the object's controller. It conflicts when
// the object has changed since it was read.
func AdoptPatch(owner metav1.Object, kind schema.GroupVersionKind, object metav1.Object) ([]byte, error) {
	return patchOf(object, append(slices.Clone(object.GetOwnerReferences()), *metav1.NewControllerRef(owner, kind)))
}

// ReleasePatch is a JSON merge patch that takes the owner's references away from the object.
// It conflicts when the object has changed since it was read.
func ReleasePatch(owner, object metav1.Object) ([]byte, error) {
	left := slices.DeleteFunc(slices.Clone(object.GetOwnerReferences()), func(r metav1.OwnerReference) bool { return r.UID == owner.GetUID() })
	return patchOf(object, left)
}
