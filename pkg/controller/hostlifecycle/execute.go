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
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// sync reconciles one host: its taints and, once they are up to date, its instances.
func (c *Controller) sync(ctx context.Context, name string) error {
	host, err := c.hosts.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if apierrors.IsNotFound(err) {
		host = nil
	}
	if host != nil {
		if written, err := c.writeTaints(ctx, host); written || err != nil {
			return queue.Retry(err) // the watch event of the write enqueues the host again
		}
	}
	instances, err := c.instancesOf(name)
	if err != nil {
		return err
	}
	m := c.memoryOf(name)
	p := decide(host, instances, m, c.options, c.clock.Now())
	if host == nil && m.missing.IsZero() {
		c.forget(name)
	}
	if p.confirm {
		if exists, err := c.exists(ctx, name); err != nil || exists {
			if exists {
				return queue.Requeue{Reason: "the host is stored, and the informer does not show it yet"}
			}
			return err
		}
	}
	if p.again > 0 {
		c.queue.AddAfter(name, p.again)
	}
	if err := c.markUnready(ctx, p.unready); err != nil {
		return queue.Retry(err)
	}
	m.marked = host != nil && readyOf(host).Status != metav1.ConditionTrue && readyOf(host).Status != ""
	err = errors.Join(c.evict(ctx, p.evict), c.remove(ctx, p.remove))
	if p.confirm && err == nil {
		c.forget(name)
	}
	return queue.Retry(err)
}

func (c *Controller) memoryOf(name string) *memory {
	c.lock.Lock()
	defer c.lock.Unlock()
	m := c.memories[name]
	if m == nil {
		m = &memory{}
		c.memories[name] = m
	}
	return m
}

func (c *Controller) forget(name string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.memories, name)
}

func (c *Controller) instancesOf(name string) ([]*v1alpha1.Instance, error) {
	objects, err := c.instances.ByIndex(byHost, name)
	if err != nil {
		return nil, err
	}
	var all []*v1alpha1.Instance
	for _, obj := range objects {
		if instance, ok := obj.(*v1alpha1.Instance); ok {
			all = append(all, instance)
		}
	}
	return all, nil
}

// writeTaints updates the taints that this controller owns.
func (c *Controller) writeTaints(ctx context.Context, host *v1alpha1.Host) (written bool, err error) {
	c.lock.Lock()
	may := evictionState{halt: c.monitor.disruption == full}
	if h := c.monitor.hosts[host.Name]; h != nil && h.uid == host.UID {
		may.evict = h.evict
	}
	c.lock.Unlock()
	desired := desiredTaints(host, may)
	if slices.Equal(desired, host.Spec.Taints) {
		return false, nil
	}
	klog.FromContext(ctx).V(2).Info("Writing taints", "host", klog.KObj(host), "ready", readyOf(host).Status, "taints", desired)
	changed := host.DeepCopy()
	changed.Spec.Taints = desired
	_, err = c.client.FleetV1alpha1().Hosts().Update(ctx, changed, metav1.UpdateOptions{})
	return true, err
}

func (c *Controller) exists(ctx context.Context, name string) (bool, error) {
	_, err := c.client.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// markUnready sets the condition Ready of instances to False.
func (c *Controller) markUnready(ctx context.Context, instances []*v1alpha1.Instance) error {
	var errs []error
	for _, i := range instances {
		_, err := c.client.FleetV1alpha1().Instances(i.Namespace).UpdateStatus(ctx, withHostNotReady(i, c.clock.Now()), metav1.UpdateOptions{})
		errs = append(errs, queue.Retry(err))
	}
	return errors.Join(errs...)
}

// evict deletes instances gracefully: the agent of their host stops them within the grace period.
func (c *Controller) evict(ctx context.Context, instances []*v1alpha1.Instance) error {
	var errs []error
	for _, i := range instances {
		err := c.delete(ctx, i, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &i.UID}})
		if err == nil {
			klog.FromContext(ctx).V(2).Info("Evicted instance", "instance", klog.KObj(i), "host", klog.KRef("", i.Spec.HostName))
			c.recorder.Eventf(i, "Normal", "TaintEviction", "evicted from host %s: its taints are no longer tolerated", i.Spec.HostName)
		}
		errs = append(errs, queue.IgnoreOutdated(err))
	}
	return errors.Join(errs...)
}

// remove deletes instances at once, because no agent will stop them.
func (c *Controller) remove(ctx context.Context, instances []*v1alpha1.Instance) error {
	var errs []error
	for _, i := range instances {
		err := c.delete(ctx, i, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &i.UID}})
		if err == nil {
			klog.FromContext(ctx).Info("Deleted instance: its host does not exist or is out of service", "instance", klog.KObj(i), "host", klog.KRef("", i.Spec.HostName))
			c.recorder.Eventf(i, "Normal", "HostGone", "deleted: host %s does not exist or is out of service", i.Spec.HostName)
		}
		errs = append(errs, queue.IgnoreOutdated(err))
	}
	return errors.Join(errs...)
}

func (c *Controller) delete(ctx context.Context, i *v1alpha1.Instance, options metav1.DeleteOptions) error {
	return c.client.FleetV1alpha1().Instances(i.Namespace).Delete(ctx, i.Name, options)
}
