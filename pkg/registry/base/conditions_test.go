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
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheStatusCellIsOfTheCurrentGeneration(t *testing.T) {
	ready := func(status metav1.ConditionStatus, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: ConditionReady, Status: status, Reason: "ImagePullBackOff", ObservedGeneration: generation}}
	}
	for name, tc := range map[string]struct {
		conditions []metav1.Condition
		want       string
	}{
		"no condition":                 {nil, "Unknown"},
		"ready":                        {ready(metav1.ConditionTrue, 3), "Ready"},
		"ready before the last change": {ready(metav1.ConditionTrue, 2), "Reconciling"},
		"ready, by a client that names no generation": {ready(metav1.ConditionTrue, 0), "Ready"},
		"not ready": {ready(metav1.ConditionFalse, 3), "ImagePullBackOff"},
		"not ready before the last change: the last cause is shown": {ready(metav1.ConditionFalse, 2), "ImagePullBackOff"},
	} {
		t.Run(name, func(t *testing.T) {
			object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
			if got := statusOf(object, tc.conditions); got != tc.want {
				t.Errorf("the cell is %s, want %s", got, tc.want)
			}
		})
	}
}
