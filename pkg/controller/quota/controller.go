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

package quota

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	k8sinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/transform"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "resourcequota-controller"

const (
	// workers is the number of quotas that are reconciled concurrently.
	workers = 5
	// gather is the time for which changes in a namespace are collected: a write of the quota
	// makes concurrent charges conflict and retry.
	gather = 50 * time.Millisecond
	// syncPoll is the time until a quota is reconciled again while its objects are being listed.
	syncPoll = 100 * time.Millisecond
)

// Controller keeps the status of resource quotas up to date.
type Controller struct {
	client kubernetes.Interface
	// factory has the informer of quotas that is not shared; nil if all are shared.
	factory k8sinformers.SharedInformerFactory
	synced  cache.InformerSynced
	sources []*source
	ledger  *ledger
	queue   workqueue.TypedRateLimitingInterface[types.NamespacedName]
	// whole is set if no other controller counts: the limits of the quota's spec are then copied
	// to its status, too.
	whole bool
	// running are the informers of sources.
	running sync.WaitGroup
}

// New returns a controller that counts all objects that a standalone server stores. It writes with
// the configuration and watches with shared informers. It has its own informer of instances, which
// keeps only what is counted.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	c, fleet, err := newController(config)
	if err != nil {
		return nil, err
	}
	c.whole, c.ledger.ordered = true, true
	if err := c.watchQuotas(shared.ResourceQuotas().Informer()); err != nil {
		return nil, err
	}
	for _, kind := range quota.Kinds() {
		if kind.Resource != quota.Instances() {
			c.sources = append(c.sources, countSource(shared, kind, c.changed))
			continue
		}
		s, err := instanceSource(fleet, append(kind.Names(), sums()...), c.changed)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.Resource, err)
		}
		c.sources = append(c.sources, s)
	}
	return c, nil
}

// NewForCluster returns a controller for a cluster, where kube-controller-manager counts objects:
// this one sums up what instances request. It watches with the configuration, because the user of
// the shared informers has no rights on quotas.
func NewForCluster(config *rest.Config, _ *informers.Shared) (*Controller, error) {
	c, fleet, err := newController(config)
	if err != nil {
		return nil, err
	}
	c.factory = k8sinformers.NewSharedInformerFactoryWithOptions(c.client, 0, k8sinformers.WithTransform(transform.WithoutManagedFields))
	if err := c.watchQuotas(c.factory.Core().V1().ResourceQuotas().Informer()); err != nil {
		return nil, err
	}
	s, err := instanceSource(fleet, sums(), c.changed)
	c.sources = []*source{s}
	return c, err
}

func sums() []corev1.ResourceName {
	var names []corev1.ResourceName
	for _, measure := range quota.Measures() {
		names = append(names, measure.Name)
	}
	return names
}

func newController(config *rest.Config) (*Controller, versioned.Interface, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	fleet, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	return &Controller{client: client, ledger: newLedger(clock.RealClock{}), queue: queue.New[types.NamespacedName](Name)}, fleet, nil
}

func (c *Controller) watchQuotas(informer cache.SharedIndexInformer) error {
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.quotaUpdated,
		UpdateFunc: func(_, now any) { c.quotaUpdated(now) },
		DeleteFunc: c.quotaDeleted,
	})
	if err == nil {
		c.synced = registration.HasSynced
	}
	return err
}

func (c *Controller) quotaUpdated(obj any) {
	if q, ok := obj.(*corev1.ResourceQuota); ok {
		c.ledger.quotaUpdated(q)
		key := types.NamespacedName{Namespace: q.Namespace, Name: q.Name}
		if q.Status.Used == nil {
			// The first count waits for the objects that were on their way when the quota was created.
			c.queue.AddAfter(key, gather)
			return
		}
		c.queue.Add(key)
	}
}

func (c *Controller) quotaDeleted(obj any) {
	if q, ok := tombstone.Object[*corev1.ResourceQuota](obj); ok {
		c.ledger.quotaDeleted(q.Namespace, q.Name)
	}
}

// changed enqueues the quotas of a namespace if an object in it uses more or less than before.
func (c *Controller) changed(object metav1.Object, before, now amounts, isNew bool) {
	if !c.ledger.changed(object, before, now, isNew) {
		return
	}
	for _, key := range c.ledger.quotasIn(object.GetNamespace()) {
		c.queue.AddAfter(key, gather)
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	defer c.running.Wait()
	if c.factory != nil {
		c.factory.StartWithContext(ctx)
		defer c.factory.Shutdown()
	}
	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync updates the status of one quota.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName) error {
	q := c.ledger.quota(key)
	if q == nil || q.DeletionTimestamp != nil {
		return nil
	}
	names, complete := c.follow(ctx, q)
	if !complete {
		c.queue.AddAfter(key, syncPoll)
	}
	q, all, decided := c.ledger.read(key, names)
	if q == nil {
		return nil
	}
	status, again := decide(q, all, c.whole, decided)
	if again > 0 {
		c.queue.AddAfter(key, again)
	}
	if sameStatus(&status, &q.Status) {
		return nil
	}
	logCorrections(ctx, key, &q.Status, &status)
	q = q.DeepCopy()
	q.Status = status
	written, err := c.client.CoreV1().ResourceQuotas(key.Namespace).UpdateStatus(ctx, q, metav1.UpdateOptions{})
	if err != nil {
		if err = queue.IgnoreOutdated(err); err != nil {
			err = fmt.Errorf("writing the status: %w", err)
		}
		return err
	}
	c.ledger.statusWritten(written, decided)
	return nil
}

// follow starts the sources of what the quota limits. It returns the names that have been counted,
// and whether these are all.
func (c *Controller) follow(ctx context.Context, q *corev1.ResourceQuota) (names map[corev1.ResourceName]bool, complete bool) {
	names, complete = map[corev1.ResourceName]bool{}, true
	for _, s := range c.sources {
		for _, name := range s.names {
			if _, limited := q.Spec.Hard[name]; !limited {
				continue
			}
			if s.follow(ctx, &c.running) {
				names[name] = true
			} else {
				complete = false
			}
		}
	}
	return names, complete
}

func logCorrections(ctx context.Context, key types.NamespacedName, before, now *corev1.ResourceQuotaStatus) {
	logger := klog.FromContext(ctx).V(2)
	for name, used := range now.Used {
		if was, ok := before.Used[name]; !ok || was.Cmp(used) != 0 {
			logger.Info("Corrected quota usage", "quota", key, "resource", name, "was", was.String(), "is", used.String())
		}
	}
}
