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

package scheduler

import (
	"fmt"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestWhichHostIsBest(t *testing.T) {
	for _, tc := range []struct {
		name     string
		hosts    []*v1alpha1.Host
		there    []*v1alpha1.Instance
		instance *v1alpha1.Instance
		want     string
	}{
		{name: "the one with fewer siblings, though it is fuller", hosts: hosts(asIs, asIs), there: []*v1alpha1.Instance{
			newInstance("s", ownedBy("r"), asking(), boundTo("a")), newInstance("y", asking("cpu", "3", "memory", "7Gi"), boundTo("b")),
		}, instance: newInstance("x", ownedBy("r")), want: "b"},
		{name: "instances of another controller are no siblings", hosts: hosts(asIs, asIs), there: []*v1alpha1.Instance{
			newInstance("s", ownedBy("other"), asking(), boundTo("a")), newInstance("y", asking("cpu", "3", "memory", "7Gi"), boundTo("b")),
		}, instance: newInstance("x", ownedBy("r")), want: "a"},
		{name: "without a controller there are no siblings", hosts: hosts(asIs, asIs), there: []*v1alpha1.Instance{
			newInstance("s", asking(), boundTo("a")), newInstance("y", asking("cpu", "3"), boundTo("b")),
		}, instance: newInstance("x"), want: "a"},
		{name: "the one with more cpu left", hosts: hosts(asIs, asIs), there: []*v1alpha1.Instance{
			newInstance("y", asking("cpu", "2"), boundTo("a")), newInstance("z", asking("cpu", "1"), boundTo("b")),
		}, instance: newInstance("x"), want: "b"},
		{name: "the one with more memory left", hosts: hosts(asIs, asIs), there: []*v1alpha1.Instance{
			newInstance("y", asking("memory", "1Gi"), boundTo("a")), newInstance("z", asking("memory", "2Gi"), boundTo("b")),
		}, instance: newInstance("x"), want: "a"},
		{name: "the one with more slots left, for an instance without requests", hosts: hosts(asIs, asIs), there: []*v1alpha1.Instance{
			newInstance("y", asking(), boundTo("a")),
		}, instance: newInstance("x", asking()), want: "b"},
		{name: "load is a share of what the host has", hosts: hosts(asIs, withAllocatable("cpu", "64", "memory", "256Gi", "instances", "100")), there: []*v1alpha1.Instance{
			newInstance("y", asking("cpu", "1", "memory", "1Gi"), boundTo("a")), newInstance("z", asking("cpu", "2", "memory", "2Gi"), boundTo("b")),
		}, instance: newInstance("x"), want: "b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := stateWith(tc.hosts, tc.there...).cache
			w := requirementsOf(tc.instance)
			for range len(tc.hosts) { // from each offset of the search
				if got := c.place(&w); got == nil || got.name != tc.want {
					t.Errorf("got %+v, not %s", got, tc.want)
				}
			}
		})
	}
}

func TestAnAppIsSpreadEvenly(t *testing.T) {
	s := stateWith(hosts(asIs, asIs, asIs))
	for i := range 9 {
		s.setInstance(newInstance(fmt.Sprint(i), ownedBy("r")), start)
	}
	drain(s, start)
	for name, h := range s.cache.hosts {
		if h.used.instances != 3 {
			t.Errorf("host %s has %d", name, h.used.instances)
		}
	}
}
