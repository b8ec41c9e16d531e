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

package pages

import (
	"slices"
	"testing"
)

func TestTheShapeOfAnOutput(t *testing.T) {
	for _, row := range []struct {
		name  string
		a, b  []string
		equal bool
	}{
		{"IDs, times and numbers differ", []string{"0s ago, within 997µs, request af39d46e-35a4-4c13-8ed1-79719df0c145 (why: kubectl gatehouse why af39d46e)"},
			[]string{"12m ago, within 1.2ms, request 0f39d46e-35a4-4c13-8ed1-79719df0c140 (why: kubectl gatehouse why 0f39d46e)"}, true},
		{"widths differ", []string{"A    B", "x    y"}, []string{"A B", "x y"}, true},
		{"the order differs", []string{"a", "b"}, []string{"b", "a"}, true},
		{"a line is missing", []string{"a", "b"}, []string{"a"}, false},
		{"a word differs", []string{"Authorization rbac Refused 15µs"}, []string{"Authorization rbac Passed 15µs"}, false},
		{"names of instances differ", []string{`"web-7b69c68558-2xjtg" is forbidden`}, []string{`"web-5db6b9bcb-x2jqq" is forbidden`}, true},
		{"identities of members differ", []string{"a46b2e44c7e95300 gatehouse-etcd Leader 72.0KiB"}, []string{"ba92edecad96569 gatehouse-etcd Leader 80.0KiB"}, true},
		{"the lines of a ranking have no order", []string{"GATE REQUESTS REFUSED P50 P99 MAX TOTAL", "Storage 1 0 1ms 1ms 1ms 1ms", "Decoding 7 0 1ms 1ms 1ms 1ms"},
			[]string{"GATE REQUESTS REFUSED P50 P99 MAX TOTAL", "Limits 1 0 1ms 1ms 1ms 1.5s"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if a, b := shape(row.a), shape(row.b); slices.Equal(a, b) != row.equal {
				t.Errorf("%q and %q", a, b)
			}
		})
	}
}
