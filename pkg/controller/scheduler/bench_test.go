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

// BenchmarkDecide measures the decision alone: 1,000 hosts with 10,000 instances of 200 owners,
// with half of the capacity in use. Each instance is removed after its decision.
func BenchmarkDecide(b *testing.B) {
	const hosts, instances = 1000, 10000
	s := newState()
	for i := range hosts {
		s.setHost(readyHost(fmt.Sprintf("host-%d", i), withAllocatable("cpu", "32", "memory", "64Gi", "instances", "110"), withLabel("zone", fmt.Sprint(i%3)), withLabel("disk", "ssd")), start)
	}
	for i := range instances {
		s.setInstance(newInstance(fmt.Sprintf("there-%d", i), ownedBy(fmt.Sprint(i%200)), boundTo(fmt.Sprintf("host-%d", i%hosts))), start)
	}
	for _, bench := range []struct {
		name   string
		change func(*v1alpha1.Instance)
	}{
		{"plain", func(*v1alpha1.Instance) {}},
		{"with a host selector", selecting("zone", "1")},
		{"that fits nowhere", asking("cpu", "33")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			template := newInstance("next", ownedBy("7"), bench.change)
			key := keyOf(template)
			b.ReportAllocs()
			for b.Loop() {
				s.setInstance(template, start)
				if d, _ := s.next(start); d == nil {
					b.Fatal("nothing was decided")
				}
				s.removeInstance(key, start)
			}
		})
	}
}
