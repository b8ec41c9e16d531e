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
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Register creates or updates Host and HostLease. It retries until it succeeds or the context
// ends.
func (a *Agent) Register(ctx context.Context) error {
	backoff := wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 0.5, Steps: 8, Cap: lastRetry}
	for {
		err := a.tryRegister(ctx)
		if err == nil {
			a.contact.answer(a.clock.Now())
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		klog.FromContext(ctx).Error(err, "Registering the host failed, retrying", "host", a.options.HostName)
		if sleep(ctx, backoff.Step()) != nil {
			return ctx.Err()
		}
	}
}

func (a *Agent) tryRegister(ctx context.Context) error {
	ctx, done := a.request(ctx)
	defer done()
	host, err := a.client.Hosts().Create(ctx, &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{
		Name: a.options.HostName, Labels: a.options.Labels,
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		host, err = a.client.Hosts().Get(ctx, a.options.HostName, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	// The lease is created before Ready is reported: a ready host without a lease appears dead.
	if err := a.createLease(ctx, host); err != nil {
		return err
	}
	return a.reportHost(ctx, host)
}

// createLease creates the lease, which the Host owns, or takes over an existing one.
func (a *Agent) createLease(ctx context.Context, host *v1alpha1.Host) error {
	owner := metav1.OwnerReference{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Host", Name: host.Name, UID: host.UID}
	lease := &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: a.options.HostName, OwnerReferences: []metav1.OwnerReference{owner}}}
	a.setRenewTime(lease, time.Now())
	created, err := a.client.HostLeases().Create(ctx, lease, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if created, err = a.client.HostLeases().Get(ctx, a.options.HostName, metav1.GetOptions{}); err != nil {
			return err
		}
		created.OwnerReferences = lease.OwnerReferences
		a.setRenewTime(created, time.Now())
		created, err = a.client.HostLeases().Update(ctx, created, metav1.UpdateOptions{})
	}
	if err == nil {
		a.lease = created
	}
	return err
}

func (a *Agent) setRenewTime(lease *v1alpha1.HostLease, now time.Time) {
	lease.Spec = v1alpha1.HostLeaseSpec{
		RenewTime:            ptr.To(metav1.NewMicroTime(now)),
		LeaseDurationSeconds: ptr.To(int32(a.options.LeaseDuration / time.Second)),
		HolderIdentity:       a.options.HostName,
	}
}

// reportHost writes the status of the Host, if it differs.
func (a *Agent) reportHost(ctx context.Context, host *v1alpha1.Host) error {
	info, err := a.runtime.Info(ctx)
	if err != nil {
		info = runtime.Info{Version: host.Status.Info.RuntimeVersion, Reason: "RuntimeUnavailable", Message: err.Error()}
	}
	a.reported = info
	status := hostStatus(host, &a.options, info, time.Now())
	if apiequality.Semantic.DeepEqual(status, host.Status) {
		return nil
	}
	host = host.DeepCopy()
	host.Status = status
	_, err = a.client.Hosts().UpdateStatus(ctx, host, metav1.UpdateOptions{})
	return err
}

// hostStatus returns the status of a Host. It keeps the conditions of others.
func hostStatus(host *v1alpha1.Host, o *Options, info runtime.Info, now time.Time) v1alpha1.HostStatus {
	status := host.Status.DeepCopy()
	// No observedGeneration: an agent reports on its machine independently of its taints.
	// kubectl wait would treat the report as outdated once a taint is removed.
	status.ObservedGeneration = 0
	status.Capacity = o.Capacity.DeepCopy()
	status.Allocatable = o.Capacity.DeepCopy()
	status.Addresses = o.Addresses
	status.Info = o.Info
	status.Info.RuntimeVersion = info.Version
	ready := metav1.Condition{
		Type: v1alpha1.HostConditionReady, Status: metav1.ConditionTrue, Reason: info.Reason,
		Message: info.Message, LastTransitionTime: seconds(now),
	}
	if !info.Ready {
		ready.Status = metav1.ConditionFalse
	}
	apimeta.SetStatusCondition(&status.Conditions, ready)
	for _, condition := range info.Conditions {
		condition.LastTransitionTime = seconds(now)
		apimeta.SetStatusCondition(&status.Conditions, condition)
	}
	return *status
}

// seconds returns a time as it is stored, so that a read value equals the written one.
func seconds(t time.Time) metav1.Time {
	return metav1.NewTime(t.Truncate(time.Second))
}
