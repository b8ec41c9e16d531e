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

package agent

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// An event about an instance that the agent has deleted is old: another deletion would be refused,
// because the instance is not bound to the host any more.
func TestAStoppedInstanceIsDeletedOnce(t *testing.T) {
	for _, tc := range []struct {
		name       string
		finalizers []string
		want       int
	}{
		{"without finalizers: a deletion", nil, 1},
		// The fake server ignores finalizers, so it refuses the second report.
		{"with finalizers: a report and a deletion, and another try", []string{"example.com/hold"}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			instance := newInstance(func(i *v1alpha1.Instance) {
				i.Namespace, i.Finalizers = "default", tc.finalizers
				i.DeletionTimestamp, i.DeletionGracePeriodSeconds = ptr.To(metav1.Unix(1, 0)), ptr.To[int64](1)
			})
			client := fake.NewClientset(instance)
			c := newController(newAgent(client.FleetV1alpha1(), simulated.New(simulated.Options{HostName: "sim-1", HostNumber: 1}), Options{HostName: "sim-1"}))
			for range 2 {
				if err := c.mirror.Add(instance.DeepCopy()); err != nil {
					t.Fatal(err)
				}
				c.sync(t.Context(), keyOf(instance))
			}
			if got := len(client.Actions()); got != tc.want {
				t.Errorf("%d requests, want %d: %v", got, tc.want, client.Actions())
			}
		})
	}
}
