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
	"os"
	"path/filepath"
	"sync"
	"time"

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

// observer sets the metric to the content of a directory.
type observer struct {
	dir string
	// recorded is the time of the last change of the recorded certificates that the metric has.
	recorded time.Time
}

// refresh reads the directory if a certificate was recorded or removed since the last read.
func (o *observer) refresh(ctx context.Context) {
	if changed := o.changed(); !changed.IsZero() && !changed.Equal(o.recorded) {
		o.read(ctx)
	}
}

// changed returns the time of the last change of the recorded certificates; zero if there are none.
func (o *observer) changed() time.Time {
	info, err := os.Stat(filepath.Join(o.dir, issuedName))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// read sets the metric.
func (o *observer) read(ctx context.Context) {
	registerMetrics()
	// A certificate that is recorded during the read is read again. So is a directory that cannot be read.
	changed := o.changed()
	list, err := List(o.dir)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Reading certificates for metrics failed", "dir", o.dir)
		return
	}
	o.recorded = changed
	expiration.Reset()
	for i, certificate := range list {
		if i == maxObserved {
			klog.FromContext(ctx).Info("Left certificates out of the metrics", "dir", o.dir, "count", len(list)-maxObserved)
			return
		}
		expiration.WithLabelValues(certificate.Kind, certificate.Subject.CommonName, certificate.SerialNumber.Text(16)).Set(float64(certificate.NotAfter.Unix()))
	}
}
