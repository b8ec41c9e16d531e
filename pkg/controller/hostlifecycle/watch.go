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

package hostlifecycle

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// monitorHosts checks all hosts periodically, and begins evictions, one host at a time.
func (c *Controller) monitorHosts(ctx context.Context) {
	ticker := c.clock.NewTicker(c.options.MonitorPeriod)
	defer ticker.Stop()
	for {
		c.check(ctx)
		again := c.grant(ctx)
		// Grants may be more frequent than passes.
		for again > 0 && again < c.options.MonitorPeriod {
			timer := c.clock.NewTimer(again)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-ticker.C():
				timer.Stop()
				c.check(ctx)
			case <-timer.C():
			}
			again = c.grant(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
	}
}

// check is one pass over all hosts.
func (c *Controller) check(ctx context.Context) {
	logger := klog.FromContext(ctx)
	hosts, err := c.hosts.List(labels.Everything())
	if err != nil {
		logger.Error(err, "Listing hosts failed")
		return
	}
	c.lock.Lock()
	silent := c.monitor.silent(hosts, c.leaseOf, c.clock.Now())
	c.lock.Unlock()

	unknown := c.markUnknown(ctx, silent)
	if ctx.Err() != nil {
		return
	}
	c.lock.Lock()
	was := c.monitor.disruption
	changed := c.monitor.conclude(hosts, unknown, c.clock.Now())
	is := c.monitor.disruption
	c.lock.Unlock()
	if was != is {
		logger.Info("Disruption of the fleet changed", "disruption", is.String(), "before", was.String(), "hosts", len(hosts))
	}
	for _, name := range changed {
		c.queue.Add(name)
	}
}

func (c *Controller) leaseOf(name string) *v1alpha1.HostLease {
	lease, err := c.leases.Get(name)
	if err != nil {
		return nil // without a lease only the host's status counts
	}
	return lease
}

// grant begins evictions on the next host if the rate allows.
func (c *Controller) grant(ctx context.Context) (again time.Duration) {
	c.lock.Lock()
	name, again := c.monitor.grant(c.clock.Now())
	c.lock.Unlock()
	if name != "" {
		klog.FromContext(ctx).Info("Evictions may begin", "host", klog.KRef("", name))
		c.queue.Add(name)
	}
	return again
}

// markUnknown sets the condition Ready of silent hosts to Unknown, and returns the hosts for which it
// succeeded. The others are checked again in the next pass.
func (c *Controller) markUnknown(ctx context.Context, hosts []*v1alpha1.Host) map[string]bool {
	var lock sync.Mutex
	unknown := map[string]bool{}
	workqueue.ParallelizeUntil(ctx, workers, len(hosts), func(i int) {
		logger := klog.FromContext(ctx).WithValues("host", klog.KObj(hosts[i]))
		if alive, err := c.renewedMeanwhile(ctx, hosts[i]); err != nil || alive {
			if err != nil && ctx.Err() == nil {
				logger.Error(err, "Reading the lease of a silent host failed")
			}
			return
		}
		_, err := c.client.FleetV1alpha1().Hosts().UpdateStatus(ctx, withUnknown(hosts[i], c.clock.Now()), metav1.UpdateOptions{})
		switch {
		case err == nil:
			logger.Info("Host is silent")
			c.recorder.Event(hosts[i], "Warning", "HostNotReady", "the host's agent has stopped renewing its lease")
			lock.Lock()
			unknown[hosts[i].Name] = true
			lock.Unlock()
		case !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil:
			logger.Error(err, "Writing the status of a silent host failed")
		}
	})
	return unknown
}

// renewedMeanwhile reads the lease of a host that seems to be silent from the server: the watch of
// this controller may be interrupted, and then every host seems to be silent.
func (c *Controller) renewedMeanwhile(ctx context.Context, host *v1alpha1.Host) (bool, error) {
	lease, err := c.client.FleetV1alpha1().HostLeases().Get(ctx, host.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	return !c.monitor.observe(host, lease, live, c.clock.Now()), nil
}
