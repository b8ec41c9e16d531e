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

package scheduler

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/events"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "scheduler"

// binders is the number of decisions that are carried out concurrently. Each waits for the server's
// disk most of the time: at 20 ms each, 16 bind 800 instances per second.
const binders = 16

// Controller binds instances to hosts.
type Controller struct {
	client   versioned.Interface
	synced   []toolscache.InformerSynced
	recorder *events.Recorder
	clock    clock.WithTicker

	// changed wakes up the deciding loop.
	changed chan struct{}

	lock  sync.Mutex
	state *state
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared externalversions.SharedInformerFactory) (*Controller, error) {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	recorder, err := events.New(config, Name)
	if err != nil {
		return nil, err
	}
	c := &Controller{
		client:   client,
		recorder: recorder,
		clock:    clock.RealClock{},
		changed:  make(chan struct{}, 1),
		state:    newState(),
	}
	fleet := shared.Fleet().V1alpha1()
	if err := c.watch(fleet.Hosts().Informer(), func(obj any, now time.Time) {
		if host, ok := obj.(*v1alpha1.Host); ok {
			c.state.setHost(host, now)
		}
	}, func(key types.NamespacedName, _ time.Time) { c.state.cache.removeHost(key.Name) }); err != nil {
		return nil, err
	}
	err = c.watch(fleet.Instances().Informer(), func(obj any, now time.Time) {
		if instance, ok := obj.(*v1alpha1.Instance); ok {
			c.state.setInstance(instance, now)
		}
	}, func(key types.NamespacedName, now time.Time) { c.state.removeInstance(key, now) })
	return c, err
}

// watch passes the events of an informer to set and remove, one at a time.
func (c *Controller) watch(informer toolscache.SharedIndexInformer, set func(any, time.Time), remove func(types.NamespacedName, time.Time)) error {
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.change(func(now time.Time) { set(obj, now) }) },
		UpdateFunc: func(_, obj any) { c.change(func(now time.Time) { set(obj, now) }) },
		DeleteFunc: func(obj any) {
			if key, err := toolscache.DeletionHandlingObjectToName(obj); err == nil {
				c.change(func(now time.Time) { remove(types.NamespacedName(key), now) })
			}
		},
	})
	if err != nil {
		return err
	}
	c.synced = append(c.synced, registration.HasSynced)
	return nil
}

// change changes the state, and wakes up the deciding loop.
func (c *Controller) change(f func(now time.Time)) {
	c.lock.Lock()
	f(c.clock.Now())
	c.lock.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Run runs the controller until the context ends, and returns when the last binding has been
// answered.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.recorder.Run(ctx) })
	// Both caches are complete before the first decision: an unknown instance uses no resources.
	if !toolscache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	decisions := make(chan *decision)
	defer close(decisions)
	for range binders {
		wg.Go(func() {
			for d := range decisions {
				c.carryOut(ctx, d)
			}
		})
	}
	c.decide(ctx, decisions)
}

// decide passes on decisions, one after the other, until the context ends.
func (c *Controller) decide(ctx context.Context, decisions chan<- *decision) {
	for {
		c.lock.Lock()
		now := c.clock.Now()
		d, until := c.state.next(now)
		c.lock.Unlock()
		if d != nil {
			select {
			case decisions <- d:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer := c.clock.NewTimer(until.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.changed:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// carryOut carries out one decision.
func (c *Controller) carryOut(ctx context.Context, d *decision) {
	switch {
	case d.confirm:
		c.confirm(ctx, d.instance)
	case d.host != "":
		c.bind(ctx, d)
	default:
		c.report(ctx, d)
	}
}

// bind creates a binding. The UID keeps it from a later instance of the same name.
func (c *Controller) bind(ctx context.Context, d *decision) {
	_, err := c.client.FleetV1alpha1().Instances(d.instance.Namespace).Bind(ctx, d.instance.Name, &v1alpha1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: d.instance.Name, UID: d.instance.UID},
		Target:     v1alpha1.BindingTarget{Kind: "Host", Name: d.host},
	}, metav1.CreateOptions{})
	v := verdictOf(err)
	c.change(func(now time.Time) { c.state.finished(d.instance, v, now) })
	logger := klog.FromContext(ctx)
	switch {
	case err == nil:
		logger.V(2).Info("Bound instance", "instance", klog.KObj(d.instance), "host", d.host)
		c.recorder.Eventf(d.instance, "Normal", "Scheduled", "bound to host %s", d.host)
	case v == conflicted:
		logger.V(4).Info("Binding conflicted", "instance", klog.KObj(d.instance), "host", d.host, "err", err)
		c.change(func(time.Time) { c.state.noteConflict(d.instance, refusedMessage(err)) })
	case ctx.Err() != nil:
	case v == refused:
		logger.V(2).Info("Binding refused, retrying", "instance", klog.KObj(d.instance), "host", d.host, "err", err)
		c.reportRefusal(ctx, func() *decision { return c.state.refusal(d.instance, refusedMessage(err)) })
	default:
		logger.Error(err, "Binding failed, retrying", "instance", klog.KObj(d.instance), "host", d.host)
		if statusCode(err) != 0 { // otherwise the status could not be written either
			c.reportRefusal(ctx, func() *decision { return c.state.refusal(d.instance, refusedMessage(err)) })
		}
	}
}

// refusedMessage returns the message of a binding that failed. It does not name the host, which
// differs between attempts, so that a repeated message is reported once.
func refusedMessage(err error) string {
	return health.Cut("the binding to a host was refused: " + err.Error())
}

// reportRefusal reports the decision that about returns, if any.
func (c *Controller) reportRefusal(ctx context.Context, about func() *decision) {
	c.lock.Lock()
	d := about()
	c.lock.Unlock()
	if d != nil {
		c.report(ctx, d)
	}
}

// confirm reads from the server what became of a binding.
func (c *Controller) confirm(ctx context.Context, instance *v1alpha1.Instance) {
	live, err := c.client.FleetV1alpha1().Instances(instance.Namespace).Get(ctx, instance.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		var d *decision
		c.change(func(now time.Time) { d = c.state.confirmed(instance, live, now) })
		if d != nil {
			c.report(ctx, d)
		}
	case isGone(err):
		c.change(func(now time.Time) { c.state.confirmed(instance, nil, now) })
	default:
		c.change(func(now time.Time) { c.state.confirmFailed(instance, now) })
	}
}

// report writes why an instance is not bound to its status and to an event. A failed write is
// repeated with the next decision about the instance.
func (c *Controller) report(ctx context.Context, d *decision) {
	c.lock.Lock()
	instance := c.state.pendingReport(d)
	c.lock.Unlock()
	if instance == nil {
		return
	}
	klog.FromContext(ctx).V(2).Info("Instance is not bound", "instance", klog.KObj(instance), "reason", d.reason, "message", d.message)
	c.recorder.Event(instance, "Warning", "FailedScheduling", d.message)
	if err := c.writeMessage(ctx, instance, d.reason, d.message); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Writing the condition Scheduled failed", "instance", klog.KObj(instance), "message", d.message)
		c.change(func(time.Time) { c.state.reportFailed(instance) })
	}
}
