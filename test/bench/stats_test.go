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

package main

import (
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i // 100 to 1: percentile sorts
	}
	for _, test := range []struct {
		name   string
		values []int
		p      float64
		want   int
	}{
		{"none", nil, 50, 0},
		{"one", []int{7}, 99, 7},
		{"the lower of two", []int{9, 1}, 50, 1},
		{"the upper of two", []int{9, 1}, 51, 9},
		{"zero is the smallest", []int{3, 1, 2}, 0, 1},
		{"p50 of a hundred", hundred, 50, 50},
		{"p99 of a hundred", hundred, 99, 99},
		{"p100 of a hundred", hundred, 100, 100},
	} {
		if got := percentile(test.values, test.p); got != test.want {
			t.Errorf("%s: percentile %v is %d, want %d", test.name, test.p, got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{4}, 4},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 2}, 3.5},
	} {
		before := append([]float64(nil), test.values...)
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.values, got, test.want)
		}
		for i := range before {
			if before[i] != test.values[i] {
				t.Errorf("median reordered %v to %v", before, test.values)
				break
			}
		}
	}
	if got := median([]time.Duration{3 * time.Millisecond, time.Millisecond}); got != 2*time.Millisecond {
		t.Errorf("median of durations is %v, want 2ms", got)
	}
}

func TestSpread(t *testing.T) {
	if got := spread(nil); got != "-" {
		t.Errorf("spread of nothing is %q", got)
	}
	values := []time.Duration{90 * time.Millisecond, 80400 * time.Microsecond, 200 * time.Millisecond}
	if got, want := spread(values), "90 (80-200) ms"; got != want {
		t.Errorf("spread is %q, want %q", got, want)
	}
}

func TestPerSecond(t *testing.T) {
	if got := perSecond(300, 2*time.Second); got != 150 {
		t.Errorf("300 in 2 s are %v per second", got)
	}
	if got := perSecond(300, 0); got != 0 {
		t.Errorf("300 in no time are %v per second", got)
	}
}

func TestTable(t *testing.T) {
	result := &table{header: []string{"a", "long name"}}
	result.add("value", "1")
	var out strings.Builder
	result.write(&out)
	want := "| a     | long name |\n| ----- | --------- |\n| value | 1         |\n\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestPhaseTable(t *testing.T) {
	ms := time.Millisecond
	phases := &phaseTable{}
	phases.add("fresh", []startRun{
		{ready: 100 * ms, phases: []phase{{"etcd", 30 * ms}, {"rest", 20 * ms}}},
		{ready: 120 * ms, phases: []phase{{"etcd", 40 * ms}, {"rest", 20 * ms}}},
		{ready: 190 * ms, phases: []phase{{"etcd", 90 * ms}, {"rest", 20 * ms}}},
	})
	phases.add("warm", []startRun{{ready: 80 * ms, phases: []phase{{"etcd", 10 * ms}, {"other", 5 * ms}}}})
	var out strings.Builder
	phases.table().write(&out)
	want := `| phase                   | fresh | warm |
| ----------------------- | ----- | ---- |
| exec to the first phase | 60    | 65   |
| etcd                    | 40    | 10   |
| rest                    | 20    | 0    |
| other                   | 0     | 5    |

`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
