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

package simulation

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// What a watch still tells of an instance that its host has deleted is old: asking once more
// would be refused, because the instance is nobody's any more.
func TestWhatStoppedIsDeletedOnce(t *testing.T) {
	for _, tc := range []struct {
		name       string
		finalizers []string
		want       int
	}{
		{"nobody holds it: a deletion", nil, 1},
		// The fake server knows no finalizers, so the second report is refused.
		{"somebody holds it: a report and a deletion, and another try", []string{"example.com/hold"}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := DefaultOptions()
			instance := newInstance(func(i *v1alpha1.Instance) {
				i.Namespace, i.Finalizers = "default", tc.finalizers
				i.DeletionTimestamp, i.DeletionGracePeriodSeconds = ptr.To(metav1.Unix(1, 0)), ptr.To[int64](1)
			})
			client := fake.NewClientset(instance)
			k := newKeeper(&agent{name: "sim-1", number: 1, options: &options, client: client.FleetV1alpha1()})
			for range 2 {
				if err := k.mirror.Add(instance.DeepCopy()); err != nil {
					t.Fatal(err)
				}
				k.sync(t.Context(), keyOf(instance))
			}
			if got := len(client.Actions()); got != tc.want {
				t.Errorf("%d requests, want %d: %v", got, tc.want, client.Actions())
			}
		})
	}
}
