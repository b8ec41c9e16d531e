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
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/prober"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

const (
	// firstRetry and lastRetry bound the time between attempts of a failed request.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 15 * time.Second
	// lastRequests is the time limit of requests that are in flight when the agent stops.
	lastRequests = 2 * time.Second
)

// Options are the settings of a host and its agent.
type Options struct {
	// HostName is the name of the Host.
	HostName string
	// Labels are set on the Host when the agent creates it.
	Labels map[string]string
	// Capacity, Addresses and Info are reported in the status of the Host; the runtime adds its
	// version. The first internal IP address is the hostIP of instances.
	Capacity  v1alpha1.ResourceList
	Addresses []v1alpha1.HostAddress
	Info      v1alpha1.HostInfo
	// LeaseDuration is the time for which the host counts as alive after a heartbeat, in whole seconds.
	// Heartbeats are four times as frequent.
	LeaseDuration time.Duration
	// ReportInterval is the interval at which the agent compares the status of the Host with its report.
	// The host lifecycle controller sets Ready to Unknown while the lease is expired, and only the
	// agent sets it to True again.
	ReportInterval time.Duration
	// RelistInterval is the interval at which the agent reads all sandboxes, besides those that the runtime
	// announces as changed; 0 for a runtime that announces every change.
	RelistInterval time.Duration
	// RestartBackOff returns the delay from the end of a container to the start of its next attempt. key is
	// the namespace and name of the instance.
	RestartBackOff func(key string, exited *runtime.Container) time.Duration
	// RequestTimeout is the time limit of a write to the server; 0 for none. After a write without an
	// answer the agent goes on without the server for a while.
	RequestTimeout time.Duration
	// Checkpoint keeps the accepted instances, so that they run without the server; nil for none.
	Checkpoint Checkpoint
}

// Checkpoint is the store of the accepted instances on the host.
type Checkpoint interface {
	// Load returns the instances of the store.
	Load() ([]*v1alpha1.Instance, error)
	// Save stores an instance before the agent acts on it. It is called with each version.
	Save(instance *v1alpha1.Instance) error
	// Remove removes an instance.
	Remove(uid types.UID) error
}

// Agent is the agent of one host.
type Agent struct {
	options Options
	runtime runtime.Runtime
	client  fleetclient.FleetV1alpha1Interface
	// clock is the clock for decisions about instances.
	clock clock.PassiveClock
	// lease is the HostLease as last written.
	lease *v1alpha1.HostLease
	// contact is when the server last answered.
	contact contact
	// reported is the state of the runtime as last reported.
	reported runtime.Info
	// mirror has the instances of the host.
	mirror *mirror
}

// New creates an agent that has not registered. config holds the identity of the host.
func New(config *rest.Config, runtime runtime.Runtime, options Options) (*Agent, error) {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", options.HostName, err)
	}
	if options.RestartBackOff == nil {
		return nil, fmt.Errorf("host %s: RestartBackOff is not set", options.HostName)
	}
	return newAgent(client.FleetV1alpha1(), runtime, options), nil
}

func newAgent(client fleetclient.FleetV1alpha1Interface, runtime runtime.Runtime, options Options) *Agent {
	return &Agent{options: options, runtime: runtime, client: client, clock: clock.RealClock{}, mirror: newMirror()}
}

// Instance returns an instance of the host, as the agent last read it or reported it; nil if the host has none of the
// name.
func (a *Agent) Instance(namespace, name string) *v1alpha1.Instance {
	return a.mirror.get(namespace + "/" + name)
}

// RunRegistering runs the agent until the context ends, and registers the host meanwhile. It calls registered
// after the first success.
func (a *Agent) RunRegistering(ctx context.Context, registered func()) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("host", a.options.HostName))
	a.run(ctx, func() {
		if a.Register(ctx) == nil {
			registered()
			a.heartbeat(ctx)
		}
	})
}

// Run runs the agent until the context ends; Register must have succeeded. It uses one goroutine for the
// heartbeat, one for the watch of the server, one for that of the runtime, and one for all
// instances. It does not change instances and the lease at the end.
func (a *Agent) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("host", a.options.HostName))
	a.run(ctx, func() { a.heartbeat(ctx) })
}

func (a *Agent) run(ctx context.Context, heartbeat func()) {
	a.contact.begin(a.clock.Now())
	c := newController(a)
	if executor, ok := a.runtime.(runtime.Executor); ok {
		c.prober = prober.New(ctx, executor, c.mirror.markUID)
	}
	c.readCheckpoint(ctx)
	var parts sync.WaitGroup
	parts.Go(heartbeat)
	parts.Go(func() { c.startFromCheckpoint(ctx) })
	parts.Go(func() { a.watch(ctx, c.mirror) })
	parts.Go(func() { a.runtime.Watch(ctx, c.mirror.markUID) })
	c.run(ctx)
	parts.Wait()
}

// lingering returns a context that ends a little after the other, so that requests in flight when
// the agent stops are completed.
func lingering(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastRequests, cancel) })
	return longer, func() { stop(); cancel() }
}

// request returns the context of a write: that of lingering, with the time limit of requests.
func (a *Agent) request(ctx context.Context) (context.Context, func()) {
	ctx, done := lingering(ctx)
	if a.options.RequestTimeout == 0 {
		return ctx, done
	}
	ctx, cancel := context.WithTimeout(ctx, a.options.RequestTimeout)
	return ctx, func() { cancel(); done() }
}

var errStopped = errors.New("the agent stops")

// sleep returns an error if the context ends before the time is over.
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
