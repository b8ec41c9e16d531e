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

package metrics

import (
	"strings"
	"testing"
)

const exposition = `# HELP asked_total Questions.
# TYPE asked_total counter
asked_total{code="201",to="a"} 7
asked_total{code="201",to="b"} 1
asked_total{code="<error>",to="{a}, \"b\""} 2.5
# TYPE took_seconds histogram
took_seconds_bucket{verb="GET",le="1"} 3
took_seconds_bucket{verb="GET",le="+Inf"} 4
took_seconds_sum{verb="GET"} 0.5
took_seconds_count{verb="GET"} 4
# TYPE waits gauge
waits 1e+01
untyped{code="201"} 100
`

func TestSamplesAreSummedByTheirLabels(t *testing.T) {
	samples, err := Parse([]byte(exposition))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		labels Labels
		want   float64
	}{
		{"asked_total", nil, 10.5},
		{"asked_total", Labels{"code": "201"}, 8},
		{"asked_total", Labels{"code": "201", "to": "b"}, 1},
		{"asked_total", Labels{"to": `{a}, "b"`}, 2.5},
		{"asked_total", Labels{"verb": ""}, 0},
		{"asked", nil, 0},
		{"took_seconds_sum", Labels{"verb": "GET"}, 0.5},
		{"took_seconds_count", nil, 4},
		{"took_seconds_bucket", nil, 0},
		{"waits", nil, 10},
		{"untyped", nil, 100},
	} {
		if got := samples.Sum(tc.name, tc.labels); got != tc.want {
			t.Errorf("%s %v: got %v, want %v", tc.name, tc.labels, got, tc.want)
		}
		if got := samples.Has(tc.name, tc.labels); got != (tc.want != 0) {
			t.Errorf("%s %v: has %v", tc.name, tc.labels, got)
		}
	}
}

func TestWhatIsNoMetricIsRefused(t *testing.T) {
	for _, text := range []string{"name{a=\"b\" 1\n", "name{a=\"b\"}\n", "name{a=\"b\"} many\n"} {
		if got, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "parsing metrics") {
			t.Errorf("%q is parsed as %v: %v", text, got, err)
		}
	}
	if got, err := Parse(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing is parsed as %v: %v", got, err)
	}
}
