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

package base

import (
	"context"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
)

// updatedObject holds the UID of the object that an update has read. An update that removes the last
// finalizer of an object that is being deleted removes the object: see errEmptiedFinalizers in
// k8s.io/apiserver/pkg/registry/generic/registry/store.go. The library removes by the key alone,
// which would remove an object that was created under the same name meanwhile.
type updatedObject struct{ uid types.UID }

type updatedObjectKey struct{}

// rememberUpdated returns a context and an object info that record the UID of the updated object.
func rememberUpdated(ctx context.Context, objInfo rest.UpdatedObjectInfo) (context.Context, rest.UpdatedObjectInfo) {
	seen := &updatedObject{}
	remembering := rest.WrapUpdatedObjectInfo(objInfo, func(_ context.Context, obj, existing runtime.Object) (runtime.Object, error) {
		// The last attempt counts: after a conflict the update starts again from the stored object.
		if object, err := apimeta.Accessor(existing); err == nil {
			seen.uid = object.GetUID()
		}
		return obj, nil
	})
	return context.WithValue(ctx, updatedObjectKey{}, seen), remembering
}

// storedObject remembers the object that the last attempt of an update has read, also if the update cannot
// be applied to it.
type storedObject struct {
	rest.UpdatedObjectInfo
	object runtime.Object
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (s *storedObject) UpdatedObject(ctx context.Context, stored runtime.Object) (runtime.Object, error) {
	s.object = stored
	return s.UpdatedObjectInfo.UpdatedObject(ctx, stored)
}

// uidBoundStorage removes only the object that an update has read.
type uidBoundStorage struct{ storage.Interface }

// Unwrap returns the storage below.
func (s uidBoundStorage) Unwrap() storage.Interface { return s.Interface }

// Delete adds the UID of the updated object to the preconditions of a removal by an update.
func (s uidBoundStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validateDeletion storage.ValidateObjectFunc, cachedExistingObject runtime.Object, opts storage.DeleteOptions) error {
	if seen, ok := ctx.Value(updatedObjectKey{}).(*updatedObject); ok && seen.uid != "" && (preconditions == nil || preconditions.UID == nil) {
		bound := storage.Preconditions{UID: &seen.uid}
		if preconditions != nil {
			bound.ResourceVersion = preconditions.ResourceVersion
		}
		preconditions = &bound
	}
	return s.Interface.Delete(ctx, key, out, preconditions, validateDeletion, cachedExistingObject, opts)
}
