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
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/prober"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// maxPasses is the maximum number of decisions, actions and reads of the sandbox in one synchronization.
// Further actions wait until the runtime announces a change.
const maxPasses = 4

// awayTime is the time for which the agent does not write to a server that did not answer, up to twice as
// long: meanwhile it decides without delay.
const awayTime = 5 * time.Second

var errAway = errors.New("the server does not answer")

// controller synchronizes the instances of one host, all in one goroutine.
type controller struct {
	*Agent
	states map[string]*instanceState
	// due is the time of the next synchronization of an instance without a change.
	due map[string]time.Time
	// failed counts consecutive failures by instance.
	failed map[string]int
	// relist is the time of the next read of all sandboxes; zero for never.
	relist time.Time
	hostIP string
	// saved has the checkpointed instances with the version of what was saved of each, and recovered is
	// the content of the checkpoint at the start of the agent.
	saved     map[types.UID]string
	recovered []*v1alpha1.Instance
	// checkpointDelay is the constant of this name, except in tests.
	checkpointDelay time.Duration
	// prober is nil for a runtime without real containers.
	prober *prober.Prober
	// away is the time until which the agent does not write to a server that did not answer.
	away time.Time
}

func newController(a *Agent) *controller {
	c := &controller{
		Agent:  a,
		states: map[string]*instanceState{}, due: map[string]time.Time{}, failed: map[string]int{}, saved: map[types.UID]string{}, checkpointDelay: checkpointDelay,
	}
	for _, address := range a.options.Addresses {
		if address.Type == v1alpha1.HostInternalIP {
			c.hostIP = address.Address
			break
		}
	}
	return c
}

// run runs the controller until the context ends.
func (c *controller) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.mirror.wake:
		case <-timer.C:
		}
		if c.options.RelistInterval > 0 && !time.Now().Before(c.relist) {
			c.relist = time.Now().Add(c.options.RelistInterval)
			c.mirror.markAll()
			c.removeOrphans(ctx)
		}
		keys := c.mirror.takeChanged()
		for key, due := range c.due {
			if !time.Now().Before(due) {
				keys[key] = true
			}
		}
		for key := range keys {
			if ctx.Err() != nil {
				return
			}
			c.sync(ctx, key)
		}
		if next := c.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// next returns the time of the next due synchronization; zero for never.
func (c *controller) next() time.Time {
	next := c.relist
	for _, due := range c.due {
		next = earlier(next, due)
	}
	return next
}

// removeOrphans removes the sandboxes of instances that were deleted while the agent did not run.
func (c *controller) removeOrphans(ctx context.Context) {
	uids, err := c.runtime.Sandboxes(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Listing sandboxes failed, retrying")
		return
	}
	for uid := range c.saved {
		if c.mirror.isOrphan(uid) {
			c.unsave(ctx, uid)
		}
	}
	for _, uid := range uids {
		if !c.mirror.isOrphan(uid) {
			continue
		}
		klog.FromContext(ctx).Info("Removing the sandbox of an instance that does not exist", "uid", uid)
		if err := c.runtime.RemoveSandbox(ctx, uid); err != nil {
			klog.FromContext(ctx).Error(err, "Removing a sandbox failed, retrying", "uid", uid)
		}
	}
}

// sync reconciles one instance and reports its changes.
func (c *controller) sync(ctx context.Context, key string) {
	delete(c.due, key)
	instance := c.mirror.get(key)
	if s := c.states[key]; s != nil && (instance == nil || instance.UID != s.uid) {
		c.forget(ctx, key)
	}
	if instance == nil {
		return
	}
	c.save(ctx, instance)
	if err := c.syncInstance(ctx, key, instance); err != nil && ctx.Err() == nil {
		c.retry(ctx, key, err)
		return
	}
	delete(c.failed, key)
}

func (c *controller) syncInstance(ctx context.Context, key string, instance *v1alpha1.Instance) error {
	s, o, err := c.runInstance(ctx, key, instance)
	if o == nil {
		return err
	}
	if !o.next.IsZero() {
		c.due[key] = o.next
	}
	// The status is written even if an action failed: it shows what succeeded before.
	return errors.Join(err, c.write(ctx, instance, s, o))
}

// runInstance makes the runtime run an instance as specified. The outcome is nil if the state of the
// sandbox is unknown.
func (c *controller) runInstance(ctx context.Context, key string, instance *v1alpha1.Instance) (*instanceState, *outcome, error) {
	s := c.states[key]
	if s == nil {
		if adopter, ok := c.runtime.(runtime.Adopter); ok {
			if err := adopter.Adopt(ctx, instance); err != nil {
				return nil, nil, err
			}
		}
		s = accept(instance, c.clock.Now())
		c.states[key] = s
	}
	o, err := c.act(ctx, s, instance)
	return s, o, err
}

// outcome is the last decision of a synchronization and the sandbox that it is based on.
type outcome struct {
	decision
	sandbox *runtime.Sandbox
}

// act decides and acts until no action is left. It returns nil and the error if it
// cannot read the sandbox, and both if an action fails.
func (c *controller) act(ctx context.Context, s *instanceState, instance *v1alpha1.Instance) (*outcome, error) {
	o := &outcome{}
	for range maxPasses {
		sandbox, err := c.runtime.Sandbox(ctx, instance.UID)
		if err != nil {
			return nil, fmt.Errorf("cannot read the sandbox: %w", err)
		}
		if _, adopts := c.runtime.(runtime.Adopter); !adopts {
			sandbox = s.withLost(instance, sandbox, c.clock.Now())
		}
		c.probe(s, instance, sandbox)
		s.cut, s.cutNext = c.contact.cutOff(instance, sandbox, c.clock.Now())
		o.decision, o.sandbox = s.decide(instance, sandbox, c.clock.Now(), &c.options), sandbox
		progress := false
		for i := range o.actions {
			done, failure := c.carryOut(ctx, s, instance, &o.actions[i])
			progress = progress || done
			err = errors.Join(err, failure)
		}
		if !progress || err != nil {
			return o, err
		}
	}
	return o, nil
}

// carryOut calls the runtime. done is false if that has changed nothing: an image is not pulled yet.
func (c *controller) carryOut(ctx context.Context, s *instanceState, instance *v1alpha1.Instance, a *action) (done bool, err error) {
	switch a.kind {
	case runSandbox:
		err = c.runtime.RunSandbox(ctx, instance)
	case startContainer:
		return c.startContainer(ctx, s.containers[a.container.Name], instance, a)
	case stopContainer:
		err = c.runtime.StopContainer(ctx, s.uid, a.container.Name, a.grace)
	case stopSandbox:
		err = c.runtime.StopSandbox(ctx, s.uid, a.grace)
		if err != nil {
			s.killed = time.Time{}
		}
	case removeSandbox:
		err = c.runtime.RemoveSandbox(ctx, s.uid)
	}
	return err == nil, err
}

func (c *controller) startContainer(ctx context.Context, state *containerState, instance *v1alpha1.Instance, a *action) (done bool, err error) {
	state.waiting = c.runtime.PullImage(ctx, instance, a.container, a.attempt)
	if state.waiting != nil {
		if errors.Is(state.waiting, runtime.ErrPulling) {
			state.waiting = nil
		}
		return false, nil
	}
	err = c.runtime.StartContainer(ctx, instance, a.container, a.attempt)
	if waiting := (*runtime.WaitingError)(nil); errors.As(err, &waiting) {
		state.waiting = err
		return false, nil
	}
	if err == nil {
		state.replaced = false
	}
	return err == nil, err
}

// write writes to the server, unless the server did not answer a moment ago.
func (c *controller) write(ctx context.Context, instance *v1alpha1.Instance, s *instanceState, o *outcome) error {
	if c.options.RequestTimeout > 0 && time.Now().Before(c.away) {
		return errAway
	}
	err := c.report(ctx, instance, s, o)
	if answer := apierrors.APIStatus(nil); err != nil && ctx.Err() == nil && !errors.As(err, &answer) {
		c.away = time.Now().Add(wait.Jitter(awayTime, 1))
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return err
}

// report deletes the instance if it has stopped, and otherwise reports its changes.
func (c *controller) report(ctx context.Context, instance *v1alpha1.Instance, s *instanceState, o *outcome) error {
	ctx, done := c.request(ctx)
	defer done()
	instances := c.client.Instances(instance.Namespace)
	// An instance with finalizers is kept for a while, so its end is reported.
	held := len(instance.Finalizers) > 0
	if s.deleted && !held {
		return nil
	}
	if !s.foreign && (!o.stopped || held) {
		status := s.status(instance, o.sandbox, c.hostIP, c.clock.Now())
		if !apiequality.Semantic.DeepEqual(status, instance.Status) {
			reported := instance.DeepCopy()
			reported.Status = status
			written, err := instances.UpdateStatus(ctx, reported, metav1.UpdateOptions{})
			if err != nil {
				return err
			}
			c.mirror.written(instance, written)
		}
	}
	if !o.stopped || held && ptr.Deref(instance.DeletionGracePeriodSeconds, -1) == 0 {
		return nil
	}
	err := instances.Delete(ctx, instance.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0),
		Preconditions:      &metav1.Preconditions{UID: &instance.UID},
	})
	s.deleted = err == nil && !held
	return err
}

// retry schedules another synchronization after a failure. After a conflict, or a refusal because
// the instance is gone (a host must not even read instances that are not bound to it), a watch event
// follows; the retry is for a delayed or interrupted watch.
func (c *controller) retry(ctx context.Context, key string, err error) {
	c.failed[key]++
	pause := min(firstRetry<<min(c.failed[key], 10), lastRetry)
	c.due[key] = earlier(c.due[key], time.Now().Add(wait.Jitter(pause, 0.5)))
	if errors.Is(err, errAway) || errors.Is(err, runtime.ErrUnavailable) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		klog.FromContext(ctx).V(4).Info("Synchronizing an instance failed, requeuing", "instance", key, "err", err)
		return
	}
	klog.FromContext(ctx).Error(err, "Synchronizing an instance failed, requeuing", "instance", key)
}

// forget removes the sandbox and the state of an instance that does not exist any more.
func (c *controller) forget(ctx context.Context, key string) {
	if err := c.runtime.RemoveSandbox(ctx, c.states[key].uid); err != nil {
		klog.FromContext(ctx).Error(err, "Removing a sandbox failed", "instance", key)
	}
	c.unsave(ctx, c.states[key].uid)
	if c.prober != nil {
		c.prober.Watch(c.states[key].uid, nil)
	}
	delete(c.states, key)
	delete(c.failed, key)
}
