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

// Package transform keeps the caches of controllers' informers small.
package transform

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WithoutManagedFields is a cache.TransformFunc that drops managedFields: they are often half of
// an object, and controllers do not read them. An update without them does not change them.
func WithoutManagedFields(obj any) (any, error) {
	if object, ok := obj.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	return obj, nil
}

// OnlyOwnership is a cache.TransformFunc that reduces the metadata of an object to Ownership.
func OnlyOwnership(obj any) (any, error) {
	if object, ok := obj.(*metav1.PartialObjectMetadata); ok {
		kept := Ownership(object)
		kept.TypeMeta = object.TypeMeta
		return kept, nil
	}
	return obj, nil
}

// Ownership returns the identity of an object, its owners, its finalizers and its deletion time.
func Ownership(object metav1.Object) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace:         object.GetNamespace(),
		Name:              object.GetName(),
		UID:               object.GetUID(),
		ResourceVersion:   object.GetResourceVersion(),
		OwnerReferences:   object.GetOwnerReferences(),
		Finalizers:        object.GetFinalizers(),
		DeletionTimestamp: object.GetDeletionTimestamp(),
	}}
}
