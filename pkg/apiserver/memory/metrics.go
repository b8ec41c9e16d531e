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

package memory

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	limitBytes = metrics.NewGauge(&metrics.GaugeOpts{
		Name: "gatehouse_memory_limit_bytes", StabilityLevel: metrics.ALPHA,
		Help: "Bytes of memory that the process may use, by --memory-limit or its control group. 0 for no limit.",
	})
	reservedBytes = metrics.NewGauge(&metrics.GaugeOpts{
		Name: "gatehouse_memory_reserved_bytes", StabilityLevel: metrics.ALPHA,
		Help: "Bytes that running requests with large bodies or large lists are counted with against the memory limit.",
	})
	collectorPercent = metrics.NewGauge(&metrics.GaugeOpts{
		Name: "gatehouse_memory_gogc_percent", StabilityLevel: metrics.ALPHA,
		Help: "Garbage that may accumulate between two garbage collections, as a percentage of the live heap (GOGC). 0 if the environment variable GOGC is set.",
	})
	refused = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "gatehouse_memory_refused_requests_total", StabilityLevel: metrics.ALPHA,
		Help: "Requests answered with 429 because the memory limit left too little for them, by verb.",
	}, []string{"verb"})
)

// register registers the metrics once.
var register = sync.OnceFunc(func() { legacyregistry.MustRegister(limitBytes, reservedBytes, collectorPercent, refused) })
