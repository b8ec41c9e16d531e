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
	"cmp"
	"net/http"
	"slices"

	dto "github.com/prometheus/client_model/go"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// metricsPath is the path of the library's handler.
const metricsPath = "/metrics"

// serveMetrics replaces the library's handler of /metrics by one that has the families of further registries, too. The
// path stays behind the same authorization. resets is true if the library's handler resets its metrics on DELETE.
func serveMetrics(generic *genericapiserver.GenericAPIServer, resets bool, further ...metrics.Gatherer) {
	merged := mergedMetrics(append([]metrics.Gatherer{legacyregistry.DefaultGatherer}, further...))
	all := metrics.HandlerFor(merged, metrics.HandlerOpts{})
	reset := legacyregistry.HandlerWithReset()
	mux := generic.Handler.NonGoRestfulMux
	mux.Unregister(metricsPath)
	mux.Handle(metricsPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if resets && r.Method == http.MethodDelete {
			reset.ServeHTTP(w, r)
			return
		}
		all.ServeHTTP(w, r)
	}))
}

// mergedMetrics gathers the families of several registries. If two have a family of the same name, that of the first
// one counts: a response with a family twice is invalid.
type mergedMetrics []metrics.Gatherer

// Gather implements metrics.Gatherer.
func (m mergedMetrics) Gather() ([]*dto.MetricFamily, error) {
	var merged []*dto.MetricFamily
	seen := map[string]bool{}
	for _, gatherer := range m {
		families, err := gatherer.Gather()
		if err != nil {
			return nil, err
		}
		for _, family := range families {
			if !seen[family.GetName()] {
				seen[family.GetName()] = true
				merged = append(merged, family)
			}
		}
	}
	slices.SortFunc(merged, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return merged, nil
}
