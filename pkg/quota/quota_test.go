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

package quota

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

type list map[string]resource.Quantity

func quantities(cpu, memory string) list {
	l := list{}
	if cpu != "" {
		l["cpu"] = resource.MustParse(cpu)
	}
	if memory != "" {
		l["memory"] = resource.MustParse(memory)
	}
	return l
}

type container struct{ requests, limits list }

func TestWhatAnInstanceUses(t *testing.T) {
	for _, tc := range []struct {
		name                                              string
		containers                                        []container
		requestsCPU, requestsMem, limitsCPU, limitsMemory int64
	}{
		{"no container has requests", []container{{}, {}}, 0, 0, 0, 0},
		{"cores count in thousandths, memory in bytes", []container{{quantities("1", "1Ki"), quantities("1500m", "1M")}}, 1000, 1024, 1500, 1_000_000},
		{"containers add up", []container{{quantities("100m", "10"), nil}, {quantities("250m", "5"), quantities("", "7")}}, 350, 15, 0, 7},
		{"a part of a thousandth is rounded up once, after the containers were added", []container{{quantities("400u", ""), nil}, {quantities("700u", ""), nil}}, 2, 0, 0, 0},
		{"a part of a byte is rounded up", []container{{quantities("", "1500m"), nil}}, 0, 2, 0, 0},
		{"more than fits is the most that fits", []container{{quantities("9E", "9E"), nil}, {quantities("9E", "9E"), nil}}, math.MaxInt64, math.MaxInt64, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var usage Usage
			for _, c := range tc.containers {
				Add(&usage, c.requests, c.limits)
			}
			want := map[corev1.ResourceName]int64{RequestsMilliCPU: tc.requestsCPU, RequestsMemory: tc.requestsMem, LimitsMilliCPU: tc.limitsCPU, LimitsMemory: tc.limitsMemory}
			if diff := cmp.Diff(want, usage.Amounts()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsEnforced(t *testing.T) {
	for name, want := range map[corev1.ResourceName]bool{
		"count/apps.fleet.gatehouse.dev":        true,
		"count/instances.fleet.gatehouse.dev":   true,
		"count/leases.coordination.k8s.io":      true,
		"count/secrets":                         true,
		"secrets":                               true,
		"count/serviceaccounts":                 true,
		"fleet.gatehouse.dev/limits.memory":     true,
		"serviceaccounts":                       false,
		"count/instances":                       false,
		"count/hosts.fleet.gatehouse.dev":       false,
		"count/events":                          true,
		"count/events.events.k8s.io":            true,
		"pods":                                  false,
		"requests.cpu":                          false,
		"fleet.gatehouse.dev/requests.cpu":      false,
		"requests.fleet.gatehouse.dev/millicpu": false,
	} {
		if got := Enforced(name); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestAQuotaIsScopedByEitherOfItsFields(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec corev1.ResourceQuotaSpec
		want bool
	}{
		{"no scope", corev1.ResourceQuotaSpec{}, false},
		{"a selector that selects by nothing", corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{}}, false},
		{"scopes", corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}}, true},
		{"a selector", corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{ScopeName: corev1.ResourceQuotaScopePriorityClass}}}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Scoped(&tc.spec); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
