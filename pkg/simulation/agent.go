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

package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

const (
	// renewalsPerLease is how often a lease is renewed while it lasts, so that losing one
	// or two renewals makes nobody believe that the host is dead.
	renewalsPerLease = 4
	// renewalJitter keeps the hosts from renewing all at once.
	renewalJitter = 0.2
	// firstRetry and lastRetry bound the time between attempts to register.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 15 * time.Second
	// lastRequests is how long requests may take that are under way at the end.
	lastRequests = 2 * time.Second
)

// agent is the agent of one simulated host.
type agent struct {
	name string
	// number counts the hosts, from 1; addresses come of it.
	number  int
	options *Options
	dice    dice
	client  fleetclient.FleetV1alpha1Interface
	// lease is the HostLease as it was last written.
	lease *v1alpha1.HostLease
}

func newAgent(config *rest.Config, name string, number int, options *Options) (*agent, error) {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	return &agent{name: name, number: number, options: options, dice: dice{seed: options.Seed, host: name}, client: client.FleetV1alpha1()}, nil
}

// register makes sure that Host and HostLease are there and up to date; it tries until it has
// succeeded or the context ends.
func (a *agent) register(ctx context.Context) error {
	backoff := wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 0.5, Steps: 8, Cap: lastRetry}
	for {
		err := a.tryRegister(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		klog.FromContext(ctx).Error(err, "A simulated host cannot register, and tries again", "host", a.name)
		if sleep(ctx, backoff.Step()) != nil {
			return ctx.Err()
		}
	}
}

func (a *agent) tryRegister(ctx context.Context) error {
	ctx, done := lingering(ctx)
	defer done()
	host, err := a.client.Hosts().Create(ctx, &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{
		Name: a.name, Labels: map[string]string{SimulatedLabel: "true"},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		host, err = a.client.Hosts().Get(ctx, a.name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	// The lease comes before Ready: a host that is ready and has none looks dead.
	if err := a.createLease(ctx, host); err != nil {
		return err
	}
	return a.reportHost(ctx, host)
}

// createLease makes the lease, which goes with its Host, or takes over the one that is there.
func (a *agent) createLease(ctx context.Context, host *v1alpha1.Host) error {
	owner := metav1.OwnerReference{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Host", Name: host.Name, UID: host.UID}
	lease := &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: a.name, OwnerReferences: []metav1.OwnerReference{owner}}}
	a.beat(lease, time.Now())
	created, err := a.client.HostLeases().Create(ctx, lease, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if created, err = a.client.HostLeases().Get(ctx, a.name, metav1.GetOptions{}); err != nil {
			return err
		}
		created.OwnerReferences = lease.OwnerReferences
		a.beat(created, time.Now())
		created, err = a.client.HostLeases().Update(ctx, created, metav1.UpdateOptions{})
	}
	if err == nil {
		a.lease = created
	}
	return err
}

func (a *agent) beat(lease *v1alpha1.HostLease, now time.Time) {
	lease.Spec = v1alpha1.HostLeaseSpec{
		RenewTime:            ptr.To(metav1.NewMicroTime(now)),
		LeaseDurationSeconds: ptr.To(int32(a.options.LeaseDuration / time.Second)),
		HolderIdentity:       a.name,
	}
}

// stayAlive renews the lease until the context ends, and looks at the Host from time to time,
// always when others may have thought meanwhile that the lease would run out.
func (a *agent) stayAlive(ctx context.Context) {
	looked, renewed := time.Now(), time.Now()
	// lapsed stays until the host has seen for itself what was said of it meanwhile.
	lapsed := false
	for sleep(ctx, wait.Jitter(a.options.LeaseDuration/renewalsPerLease, renewalJitter)) == nil {
		err := a.renew(ctx)
		if err == nil {
			lapsed = lapsed || time.Since(renewed) > a.options.LeaseDuration/2
			renewed = time.Now()
			if lapsed || time.Since(looked) > a.options.LookInterval {
				if err = a.look(ctx, lapsed); err == nil {
					looked, lapsed = time.Now(), false
				}
			}
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case apierrors.IsConflict(err): // somebody wrote at the same time; the next beat is soon
		case apierrors.IsNotFound(err):
			// Somebody deleted the Host or the lease, but the host is there.
			klog.FromContext(ctx).Info("A simulated host was deleted, and registers again", "host", a.name)
			_ = a.register(ctx)
		default:
			klog.FromContext(ctx).Error(err, "The heartbeat of a simulated host failed", "host", a.name)
		}
	}
}

func (a *agent) renew(ctx context.Context) error {
	ctx, done := lingering(ctx)
	defer done()
	lease := a.lease.DeepCopy()
	a.beat(lease, time.Now())
	updated, err := a.client.HostLeases().Update(ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		// Somebody else wrote it, or a write of ours succeeded whose answer was lost.
		if lease, err = a.client.HostLeases().Get(ctx, a.name, metav1.GetOptions{}); err != nil {
			return err
		}
		a.beat(lease, time.Now())
		updated, err = a.client.HostLeases().Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err == nil {
		a.lease = updated
	}
	return err
}

// look reads the Host, from the server's cache unless it must be the newest, and reports
// again what it no longer says.
func (a *agent) look(ctx context.Context, newest bool) error {
	ctx, done := lingering(ctx)
	defer done()
	options := metav1.GetOptions{ResourceVersion: "0"}
	if newest {
		options.ResourceVersion = ""
	}
	host, err := a.client.Hosts().Get(ctx, a.name, options)
	if err != nil {
		return err
	}
	return a.reportHost(ctx, host)
}

func (a *agent) reportHost(ctx context.Context, host *v1alpha1.Host) error {
	status := a.hostStatus(host, time.Now())
	if apiequality.Semantic.DeepEqual(status, host.Status) {
		return nil
	}
	host = host.DeepCopy()
	host.Status = status
	_, err := a.client.Hosts().UpdateStatus(ctx, host, metav1.UpdateOptions{})
	return err
}

// hostStatus is what the host says of itself. Conditions that are not its own stay.
func (a *agent) hostStatus(host *v1alpha1.Host, now time.Time) v1alpha1.HostStatus {
	status := host.Status.DeepCopy()
	// No observedGeneration: a host reports on its machine, whatever its taints say, and does not
	// follow them. kubectl wait would take its word for outdated as soon as one is taken away.
	status.ObservedGeneration = 0
	status.Capacity = v1alpha1.ResourceList{
		v1alpha1.ResourceCPU:       a.options.CPU,
		v1alpha1.ResourceMemory:    a.options.Memory,
		v1alpha1.ResourceInstances: *resource.NewQuantity(int64(a.options.Instances), resource.DecimalSI),
	}
	status.Allocatable = status.Capacity.DeepCopy()
	status.Addresses = []v1alpha1.HostAddress{
		{Type: v1alpha1.HostInternalIP, Address: hostIP(a.number)},
		{Type: v1alpha1.HostHostname, Address: a.name},
	}
	status.Info = v1alpha1.HostInfo{
		OperatingSystem: "simulated", Architecture: "simulated", KernelVersion: "simulated",
		AgentVersion: a.options.Version, RuntimeVersion: "simulated://1", MachineID: fmt.Sprintf("%016x", sum(a.name)),
	}
	apimeta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.HostConditionReady, Status: metav1.ConditionTrue, Reason: "Simulated",
		Message: "nothing really runs on this host", LastTransitionTime: seconds(now),
	})
	return *status
}

// hostIP is an address in 100.64.0.0/10, which is nobody's on the internet.
func hostIP(number int) string {
	number-- // counted from 1
	return fmt.Sprintf("100.%d.%d.%d", 64+number/62500, number/250%250, number%250+1)
}

// instanceIP is an address in the host's own part of 10.0.0.0/8.
func instanceIP(number, slot int) string {
	number--
	return fmt.Sprintf("10.%d.%d.%d", number/256, number%256, slot+1)
}

// lingering is a context that ends a little after the other: what has been asked of the server
// when the simulation stops is brought to its end, for both sides' sake.
func lingering(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastRequests, cancel) })
	return longer, func() { stop(); cancel() }
}

var errStopped = errors.New("the simulation stops")

// sleep returns an error where the context ended before the time was over.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errStopped
	case <-timer.C:
		return nil
	}
}
