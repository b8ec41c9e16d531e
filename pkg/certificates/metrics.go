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

package certificates

import (
	"context"
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// expiration has the certificates in the data directory. The library counts the remaining lifetimes of
// the client certificates of requests (apiserver_client_certificate_expiration_seconds).
var expiration = metrics.NewGaugeVec(&metrics.GaugeOpts{
	Namespace: "gatehouse", Subsystem: "certificate", Name: "expiration_timestamp_seconds",
	Help:           "Time at which a certificate in the data directory expires, in seconds since 1970, by kind (ca, serving, admin, client), common name and serial number.",
	StabilityLevel: metrics.ALPHA,
}, []string{"kind", "name", "serial"})

var registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(expiration) })

// maxObserved bounds the number of certificates in metrics.
const maxObserved = 1000

// observe sets the metric to the content of a directory.
func observe(ctx context.Context, dir string) {
	registerMetrics()
	list, err := List(dir)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Reading certificates for metrics failed", "dir", dir)
		return
	}
	expiration.Reset()
	for i, certificate := range list {
		if i == maxObserved {
			klog.FromContext(ctx).Info("Left certificates out of the metrics", "dir", dir, "count", len(list)-maxObserved)
			return
		}
		expiration.WithLabelValues(certificate.Kind, certificate.Subject.CommonName, certificate.SerialNumber.Text(16)).Set(float64(certificate.NotAfter.Unix()))
	}
}
