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

// Package adoption decides which objects an owner adopts and releases by its selector: apps with
// releases, releases with instances. Read Decide.
//
// The rules are those of k8s.io/kubernetes pkg/controller/controller_ref_manager.go: an object has
// one controller at most, which no other owner replaces, and an owner that is being deleted adopts
// nothing.
package adoption

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Claims are the candidates that concern the owner.
type Claims[T metav1.Object] struct {
	// Mine are owned, and the selector matches.
	Mine []T
	// Adopt have no controller, and the selector matches. Before it adopts any, the owner must be
	// read from the server, or an owner that was deleted and recreated with the same name would
	// adopt with a UID that is gone.
	Adopt []T
	// Release are owned, and the selector does not match any more.
	Release []T
}

// Decide sorts the candidates. An owner that is being deleted releases nothing and adopts nothing;
// objects that are being deleted are not adopted.
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

// patch replaces the references as a whole: a JSON merge patch cannot change a single one. The
// resource version makes it conflict with concurrent writes.
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

// AdoptPatch returns a JSON merge patch that makes owner the object's controller. It conflicts if the
// object has changed since it was read.
func AdoptPatch(owner metav1.Object, kind schema.GroupVersionKind, object metav1.Object) ([]byte, error) {
	return patchOf(object, append(slices.Clone(object.GetOwnerReferences()), *metav1.NewControllerRef(owner, kind)))
}

// ReleasePatch returns a JSON merge patch that removes the owner's references from the object. It
// conflicts if the object has changed since it was read.
func ReleasePatch(owner, object metav1.Object) ([]byte, error) {
	left := slices.DeleteFunc(slices.Clone(object.GetOwnerReferences()), func(r metav1.OwnerReference) bool { return r.UID == owner.GetUID() })
	return patchOf(object, left)
}
