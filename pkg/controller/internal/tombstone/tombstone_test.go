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

package tombstone

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

func TestObject(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	for _, tc := range []struct {
		name string
		obj  any
		want *corev1.Namespace
	}{
		{"a delete event has the object", namespace, namespace},
		{"a missed delete event has the last known state", cache.DeletedFinalStateUnknown{Key: "a", Obj: namespace}, namespace},
		{"a missed delete event of another type has none", cache.DeletedFinalStateUnknown{Key: "a", Obj: &corev1.Secret{}}, nil},
		{"a missed delete event without a state has none", cache.DeletedFinalStateUnknown{Key: "a"}, nil},
		{"an object of another type is refused", &corev1.Secret{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := Object[*corev1.Namespace](tc.obj); got != tc.want || ok != (tc.want != nil) {
				t.Errorf("got %v, %v, want %v", got, ok, tc.want)
			}
		})
	}
}
