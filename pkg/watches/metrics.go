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

package watches

import (
	"k8s.io/component-base/metrics"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// collector computes the metrics when they are read.
type collector struct {
	metrics.BaseStableCollector
	registry                       *Registry
	count, longest, stalled, ended *metrics.Desc
}

// Metrics returns the metrics of the registry. Watch lag and terminated watches have metrics of k8s.io/apiserver:
// see docs/observability.md.
func (r *Registry) Metrics() metrics.Gatherer {
	own := metrics.NewKubeRegistry()
	own.CustomMustRegister(&collector{
		registry: r,
		count: metrics.NewDesc("gatehouse_watches_blocked", "Watches whose client has not taken a write for a second or longer.",
			nil, nil, metrics.ALPHA, ""),
		longest: metrics.NewDesc("gatehouse_watches_longest_blocked_seconds", "Time for which the watch that has been blocked longest has waited for its client; 0 if none is blocked.",
			nil, nil, metrics.ALPHA, ""),
		// The name and the labels are of https://kep.k8s.io/6268.
		stalled: metrics.NewDesc("apiserver_watch_cache_stalled_watchers", "Watches of a watch cache whose client has not taken a write for a second or longer, by resource.",
			[]string{"group", "resource"}, nil, metrics.ALPHA, ""),
		ended: metrics.NewDesc("gatehouse_watches_ended_total", "Watches that have ended, by reason.",
			[]string{"reason"}, nil, metrics.ALPHA, ""),
	})
	return own
}

// DescribeWithStability implements metrics.StableCollector.
func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{c.count, c.longest, c.stalled, c.ended} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	count, longest := c.registry.blocked()
	ch <- metrics.NewLazyConstMetric(c.count, metrics.GaugeValue, float64(count))
	ch <- metrics.NewLazyConstMetric(c.longest, metrics.GaugeValue, longest.Seconds())
	for of, n := range c.registry.stalled() {
		ch <- metrics.NewLazyConstMetric(c.stalled, metrics.GaugeValue, float64(n), of.group, of.resource)
	}
	for r := range c.registry.ends {
		if n := c.registry.ends[r].Load(); n > 0 {
			ch <- metrics.NewLazyConstMetric(c.ended, metrics.CounterValue, float64(n), string(reasons[r]))
		}
	}
}

type groupResource struct{ group, resource string }

// stalled returns the number of blocked watches of watch caches for each resource with open watches.
func (r *Registry) stalled() map[groupResource]int {
	counts := map[groupResource]int{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.open {
		if s.source != diagnostics.WatchSourceCache && s.source != diagnostics.WatchSourceIndex {
			continue
		}
		of := groupResource{s.resource.Group, s.resource.Resource}
		if s.waited() >= BlockedAfter {
			counts[of]++
		} else {
			counts[of] += 0
		}
	}
	return counts
}
