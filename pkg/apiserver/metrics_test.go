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

package apiserver

import (
	"errors"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/utils/ptr"
)

// families is a registry with these families, whose help is the name of the registry, or with an error.
type families struct {
	registry string
	names    []string
	err      error
}

// Gather implements metrics.Gatherer.
func (f families) Gather() (all []*dto.MetricFamily, _ error) {
	for _, name := range f.names {
		all = append(all, &dto.MetricFamily{Name: ptr.To(name), Help: ptr.To(f.registry)})
	}
	return all, f.err
}

func TestMergedMetricsHaveEachFamilyOnce(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name       string
		registries mergedMetrics
		want       []string
		err        error
	}{
		{"the families of all are sorted", mergedMetrics{families{"a", []string{"x", "z"}, nil}, families{"b", []string{"w", "y"}, nil}}, []string{"w b", "x a", "y b", "z a"}, nil},
		{"the first registry with a family counts", mergedMetrics{families{"a", []string{"x"}, nil}, families{"b", []string{"x", "y"}, nil}}, []string{"x a", "y b"}, nil},
		{"an error of one is returned", mergedMetrics{families{"a", []string{"x"}, nil}, families{"b", nil, broken}}, nil, broken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gathered, err := tc.registries.Gather()
			var got []string
			for _, family := range gathered {
				got = append(got, family.GetName()+" "+family.GetHelp())
			}
			if !errors.Is(err, tc.err) || !slices.Equal(got, tc.want) {
				t.Errorf("got %v, %v; want %v, %v", got, err, tc.want, tc.err)
			}
		})
	}
}
