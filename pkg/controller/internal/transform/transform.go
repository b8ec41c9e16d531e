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

// Package transform is how controllers keep the caches of their informers small.
package transform

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WithoutManagedFields is a cache.TransformFunc that forgets who wrote which field: that is
// often half of an object, and no business of a controller. An update without them leaves
// them as they are.
func WithoutManagedFields(obj any) (any, error) {
	if object, ok := obj.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	return obj, nil
}
