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

package backup

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

func gauge(name, help string) *metrics.Gauge {
	return metrics.NewGauge(&metrics.GaugeOpts{Namespace: "gatehouse", Subsystem: "backup", Name: name, Help: help, StabilityLevel: metrics.ALPHA})
}

var (
	lastSuccess = gauge("last_success_timestamp_seconds", "When the last backup was begun that was made and of which every object could be decoded; 0 for none.")
	lastFailed  = gauge("last_attempt_failed", "Whether the last backup could not be made, or has objects that cannot be decoded.")
	duration    = gauge("duration_seconds", "Duration of the last backup that was made, with its verification.")
	fileBytes   = gauge("size_bytes", "Size of the file of the last backup that was made.")
	objects     = gauge("objects", "Number of objects in the last backup that was made.")
	interval    = gauge("interval_seconds", "The time between two backups.")
	hasKeys     = gauge("has_keys", "Whether the last backup has the keys of the server.")
	failures    = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "gatehouse", Subsystem: "backup", Name: "failures_total", StabilityLevel: metrics.ALPHA,
		Help: "Backups that could not be made, or have objects that cannot be decoded.",
	})
)

// registerMetrics registers the metrics when a server makes backups: others have no such metrics.
var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(lastSuccess, lastFailed, duration, fileBytes, objects, interval, hasKeys, failures)
})

// observe records the result of an attempt.
func observe(made *Made, err error) {
	if err != nil {
		failures.Inc()
		lastFailed.Set(1)
	} else {
		lastFailed.Set(0)
		lastSuccess.Set(float64(made.Name.Time.Unix()))
	}
	if made == nil {
		return
	}
	duration.Set(made.Took.Seconds())
	fileBytes.Set(float64(made.Bytes))
	objects.Set(float64(made.Manifest.Total()))
	hasKeys.Set(0)
	if made.Manifest.hasKeys() {
		hasKeys.Set(1)
	}
}
