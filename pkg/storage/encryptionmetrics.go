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

package storage

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var kmsHealthy = metrics.NewGauge(&metrics.GaugeOpts{
	Name: "gatehouse_encryption_kms_healthy", StabilityLevel: metrics.ALPHA,
	Help: "1 if all KMS plugins of the encryption configuration responded to the last check, or if it has none, 0 otherwise. Without a response, writes fail after three minutes.",
})

// registerEncryptionMetrics registers the metrics once.
var registerEncryptionMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(kmsHealthy) })

// reportKMS sets the metric.
func reportKMS(healthy bool) {
	value := 0.0
	if healthy {
		value = 1
	}
	kmsHealthy.Set(value)
}
