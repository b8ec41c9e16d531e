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

package limits

import (
	"context"
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// Metrics of the process. The numbers of descriptors are process_open_fds and process_max_fds,
// which every server of Kubernetes has.
var (
	connectionsOpen = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name: "gatehouse_connections", Help: "Connections of clients, by whether a request on them was authenticated.", StabilityLevel: metrics.ALPHA,
	}, []string{"authenticated"})
	connectionsLimit = metrics.NewGauge(&metrics.GaugeOpts{
		Name: "gatehouse_connections_limit", Help: "How many connections clients may have: the limit of open files without what is kept for etcd and the log.", StabilityLevel: metrics.ALPHA,
	})
	connectionsClosed = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "gatehouse_connections_closed_total", Help: "Connections that the server closed to bound them, by the reason.", StabilityLevel: metrics.ALPHA,
	}, []string{"reason"})
	slowBodies = metrics.NewCounter(&metrics.CounterOpts{
		Name: "gatehouse_slow_bodies_total", Help: "Requests whose body arrived too slowly.", StabilityLevel: metrics.ALPHA,
	})
	watchesOpen = metrics.NewGauge(&metrics.GaugeOpts{
		Name: "gatehouse_watches", Help: "Watches and other requests that run long.", StabilityLevel: metrics.ALPHA,
	})
	watchesOfOne = metrics.NewGauge(&metrics.GaugeOpts{
		Name: "gatehouse_watches_largest_user", Help: "Watches of the user who has the most.", StabilityLevel: metrics.ALPHA,
	})
	watchesRefused = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "gatehouse_watches_refused_total", Help: "Watches that were refused, by whether the user or the server has too many.", StabilityLevel: metrics.ALPHA,
	}, []string{"bound"})
)

var register = sync.OnceFunc(func() {
	legacyregistry.MustRegister(connectionsOpen, connectionsLimit, connectionsClosed, slowBodies, watchesOpen, watchesOfOne, watchesRefused)
})

const (
	// lookInterval is the time between two samples.
	lookInterval = 10 * time.Second
	// nearPercent is the part of a limit at which Observe logs a warning.
	nearPercent = 80
)

// Observe samples the numbers for metrics and logs a warning if one is near its limit, until
// the context ends.
func Observe(ctx context.Context, connections *Connections, watches *Watches) {
	register()
	files, _ := openFilesLimit() // the listener was made with it
	near := map[string]bool{}
	look := func() {
		open, strangers := connections.numbers()
		all, most, busiest := watches.numbers()
		connectionsOpen.WithLabelValues("true").Set(float64(open - strangers))
		connectionsOpen.WithLabelValues("false").Set(float64(strangers))
		watchesOpen.Set(float64(all))
		watchesOfOne.Set(float64(most))
		for _, number := range []struct {
			what, cure string
			is, limit  int
		}{
			{"connections", "raise the limit of open files (ulimit -n, or LimitNOFILE of the service)", open, connections.max},
			{"open files", "raise the limit of open files (ulimit -n, or LimitNOFILE of the service)", openFiles(), int(min(files, 1<<30))},
			{"watches", "raise --" + AllFlag, all, watches.All},
			{"watches of one user", "raise --" + PerUserFlag + ", or check what the user does", most, watches.PerUser},
		} {
			is := number.limit > 0 && number.is*100 >= number.limit*nearPercent
			if is && !near[number.what] {
				klog.InfoS("Limit is near: beyond it clients wait or are refused", "severity", "warn", "of", number.what, "is", number.is, "limit", number.limit, "cure", number.cure, "busiestUser", busiest)
			}
			near[number.what] = is
		}
	}
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		look()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
