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
	"github.com/gatehouse-dev/gatehouse/pkg/controller/events"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/health"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
)

// Name is the controller's, and with a prefix its user's.
const Name = "scheduler"

// binders is how many decisions are carried out at the same time. Each waits for the server's
// disk most of the time: at 20 ms for one, 16 bind 800 instances in a second.
const binders = 16

// Controller binds instances to hosts.
type Controller struct {
	client   versioned.Interface
	synced   []toolscache.InformerSynced
	recorder *events.Recorder
	clock    clock.WithTicker

	// changed wakes the loop that decides.
	changed chan struct{}

	lock  sync.Mutex
	state *state
}

// New makes a controller that reaches the server by the configuration, and watches by
// informers that others share. Whoever runs it runs them, and not before it is made.
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

// watch hands what an informer tells to set and remove, one event at a time.
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

// change changes the state, and has the loop look at it.
func (c *Controller) change(f func(now time.Time)) {
	c.lock.Lock()
	f(c.clock.Now())
	c.lock.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Run works until the context ends, and returns when the last binding has been answered.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.recorder.Run(ctx) })
	// Both are known in full before anything is decided: what is not known takes no room.
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

// decide hands out decisions, one after the other, until the context ends.
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

// carryOut does what was decided about one instance.
func (c *Controller) carryOut(ctx context.Context, d *decision) {
	switch {
	case d.ask:
		c.ask(ctx, d.instance)
	case d.host != "":
		c.bind(ctx, d)
	default:
		c.say(ctx, d)
	}
}

// bind sends a binding. The uid keeps it from an instance of the same name that came after.
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
		logger.V(2).Info("Bound", "instance", klog.KObj(d.instance), "host", d.host)
		c.recorder.Eventf(d.instance, "Normal", "Scheduled", "bound to host %s", d.host)
	case v == overtaken:
		logger.V(4).Info("Not bound: somebody was faster", "instance", klog.KObj(d.instance), "host", d.host, "err", err)
		c.change(func(time.Time) { c.state.answeredWith(d.instance, refusedMessage(err)) })
	case ctx.Err() != nil:
	case v == refused:
		logger.V(2).Info("Not bound, again later: the binding was refused", "instance", klog.KObj(d.instance), "host", d.host, "err", err)
		c.tell(ctx, func() *decision { return c.state.refusal(d.instance, refusedMessage(err)) })
	default:
		logger.Error(err, "Not bound, again later", "instance", klog.KObj(d.instance), "host", d.host)
		if statusCode(err) != 0 { // else nobody could be told either
			c.tell(ctx, func() *decision { return c.state.refusal(d.instance, refusedMessage(err)) })
		}
	}
}

// refusedMessage says why a binding was not done. It leaves the host out, which is another with
// the next attempt: what is the same is said once.
func refusedMessage(err error) string {
	return health.Cut("the binding to a host was refused: " + err.Error())
}

// tell says what the state has to say.
func (c *Controller) tell(ctx context.Context, about func() *decision) {
	c.lock.Lock()
	d := about()
	c.lock.Unlock()
	if d != nil {
		c.say(ctx, d)
	}
}

// ask finds out what became of a binding.
func (c *Controller) ask(ctx context.Context, instance *v1alpha1.Instance) {
	live, err := c.client.FleetV1alpha1().Instances(instance.Namespace).Get(ctx, instance.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		var d *decision
		c.change(func(now time.Time) { d = c.state.answered(instance, live, now) })
		if d != nil {
			c.say(ctx, d)
		}
	case isGone(err):
		c.change(func(now time.Time) { c.state.answered(instance, nil, now) })
	default:
		c.change(func(now time.Time) { c.state.unanswered(instance, now) })
	}
}

// say writes why an instance fits nowhere, in its status and in an event. What cannot be
// written now is tried with the next decision about it.
func (c *Controller) say(ctx context.Context, d *decision) {
	c.lock.Lock()
	instance := c.state.toSay(d)
	c.lock.Unlock()
	if instance == nil {
		return
	}
	klog.FromContext(ctx).V(2).Info("Not bound", "instance", klog.KObj(instance), "reason", d.reason, "message", d.message)
	c.recorder.Event(instance, "Warning", "FailedScheduling", d.message)
	if err := c.writeMessage(ctx, instance, d.reason, d.message); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "The status does not say why the instance is not bound", "instance", klog.KObj(instance), "message", d.message)
		c.change(func(time.Time) { c.state.unsaid(instance) })
	}
}
