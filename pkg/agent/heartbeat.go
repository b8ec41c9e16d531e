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

package agent

import (
	"context"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	// renewalsPerLease is the number of renewals during the duration of a lease, so that the host stays
	// alive if one or two renewals are lost.
	renewalsPerLease = 4
	// renewalJitter spreads the renewals of hosts that started together.
	renewalJitter = 0.2
)

// heartbeat renews the lease until the context ends. It checks the Host after ReportInterval, and
// whenever the lease may have expired or the runtime has changed its health meanwhile.
func (a *Agent) heartbeat(ctx context.Context) {
	reported, renewed := time.Now(), time.Now()
	// lapsed stays set until a check with the newest Host has succeeded.
	lapsed := false
	for sleep(ctx, wait.Jitter(a.options.LeaseDuration/renewalsPerLease, renewalJitter)) == nil {
		err := a.renew(ctx)
		if err == nil {
			lapsed = lapsed || time.Since(renewed) > a.options.LeaseDuration/2
			renewed = time.Now()
			if lapsed || time.Since(reported) > a.options.ReportInterval || a.runtimeChanged(ctx) {
				if err = a.checkHost(ctx, lapsed); err == nil {
					reported, lapsed = time.Now(), false
				}
			}
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case apierrors.IsConflict(err): // another write came first; the next renewal is soon
		case apierrors.IsNotFound(err):
			// The Host or the lease was deleted, but the host exists.
			klog.FromContext(ctx).Info("Host was deleted, registering it again")
			_ = a.Register(ctx)
		default:
			klog.FromContext(ctx).Error(err, "Heartbeat failed")
		}
	}
}

func (a *Agent) renew(ctx context.Context) error {
	ctx, done := a.request(ctx)
	defer done()
	lease := a.lease.DeepCopy()
	a.setRenewTime(lease, time.Now())
	updated, err := a.client.HostLeases().Update(ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		// Another client wrote it, or the response to a successful renewal was lost.
		if lease, err = a.client.HostLeases().Get(ctx, a.options.HostName, metav1.GetOptions{}); err != nil {
			return err
		}
		a.setRenewTime(lease, time.Now())
		updated, err = a.client.HostLeases().Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err == nil {
		a.lease = updated
		a.contact.answer(a.clock.Now())
	}
	return err
}

// checkHost reads the Host, from the watch cache unless it must be the newest, and reports its
// status again if it differs.
func (a *Agent) checkHost(ctx context.Context, newest bool) error {
	ctx, done := a.request(ctx)
	defer done()
	options := metav1.GetOptions{ResourceVersion: "0"}
	if newest {
		options.ResourceVersion = ""
	}
	host, err := a.client.Hosts().Get(ctx, a.options.HostName, options)
	if err != nil {
		return err
	}
	return a.reportHost(ctx, host)
}

// runtimeChanged reports whether the health of the runtime differs from the last report.
func (a *Agent) runtimeChanged(ctx context.Context) bool {
	info, err := a.runtime.Info(ctx)
	return err != nil && a.reported.Ready || err == nil && !apiequality.Semantic.DeepEqual(info, a.reported)
}
