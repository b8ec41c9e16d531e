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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/transform"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

// Name is the controller's, and with a prefix its user's.
const Name = "resourcequota-controller"

const (
	// workers is how many quotas are looked at, at the same time.
	workers = 5
	// gather is how long changes in a namespace are collected: a write of the quota makes
	// those who are just being charged try again.
	gather = 50 * time.Millisecond
	// syncPoll is how soon a quota is looked at again while its objects are being listed.
	syncPoll = 100 * time.Millisecond
)

// Controller keeps the status of resource quotas true.
type Controller struct {
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
	synced  cache.InformerSynced
	sources []*source
	ledger  *ledger
	queue   workqueue.TypedRateLimitingInterface[types.NamespacedName]
	clock   clock.PassiveClock
	// whole is set where nobody else counts: what the quota limits is then copied to its
	// status too.
	whole bool
	// running are the informers of sources.
	running sync.WaitGroup
}

// New makes a controller that counts everything that a standalone server stores. It reaches
// the server by the configuration.
func New(config *rest.Config) (*Controller, error) {
	c, clients, err := newController(config)
	if err != nil {
		return nil, err
	}
	c.whole = true
	for _, kind := range quota.Kinds() {
		var s *source
		if kind.Resource == quota.Instances() {
			s, err = instanceSource(clients.fleet, append(kind.Names(), sums()...), c.changed)
		} else {
			s, err = countSource(clients.metadata, kind, c.changed)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.Resource, err)
		}
		c.sources = append(c.sources, s)
	}
	return c, nil
}

// NewForCluster makes a controller for a cluster, where kube-controller-manager counts what
// can be counted: this one adds up the sums.
func NewForCluster(config *rest.Config) (*Controller, error) {
	c, clients, err := newController(config)
	if err != nil {
		return nil, err
	}
	s, err := instanceSource(clients.fleet, sums(), c.changed)
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

type clients struct {
	fleet    versioned.Interface
	metadata metadata.Interface
}

func newController(config *rest.Config) (*Controller, clients, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, clients{}, err
	}
	fleet, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, clients{}, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, clients{}, err
	}
	clock := clock.RealClock{}
	c := &Controller{
		client:  client,
		factory: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(transform.WithoutManagedFields)),
		ledger:  newLedger(clock),
		queue:   queue.New[types.NamespacedName](Name),
		clock:   clock,
	}
	registration, err := c.factory.Core().V1().ResourceQuotas().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.saw,
		UpdateFunc: func(_, now any) { c.saw(now) },
		DeleteFunc: c.gone,
	})
	if err != nil {
		return nil, clients{}, err
	}
	c.synced = registration.HasSynced
	return c, clients{fleet, objects}, nil
}

func (c *Controller) saw(obj any) {
	if q, ok := obj.(*corev1.ResourceQuota); ok {
		c.ledger.saw(q)
		c.queue.Add(types.NamespacedName{Namespace: q.Namespace, Name: q.Name})
	}
}

func (c *Controller) gone(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if q, ok := obj.(*corev1.ResourceQuota); ok {
		c.ledger.gone(q.Namespace, q.Name)
	}
}

// changed has the quotas of a namespace looked at in which something uses more or less.
func (c *Controller) changed(namespace string, before, now amounts, isNew bool) {
	if !c.ledger.changed(namespace, before, now, isNew) {
		return
	}
	for _, key := range c.ledger.in(namespace) {
		c.queue.AddAfter(key, gather)
	}
}

// Run works until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	defer c.running.Wait()
	c.factory.StartWithContext(ctx)
	defer c.factory.Shutdown()
	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync brings the status of one quota up to date.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName) error {
	q := c.ledger.quota(key)
	if q == nil || q.DeletionTimestamp != nil {
		return nil
	}
	names, complete := c.follow(ctx, q)
	if !complete {
		c.queue.AddAfter(key, syncPoll)
	}
	q, all := c.ledger.read(key, names)
	if q == nil {
		return nil
	}
	status, again := decide(q, all, c.whole, c.clock.Now())
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
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // what came in between is on its way here
	}
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	c.ledger.wrote(written)
	return nil
}

// follow has everything followed that the quota limits. It returns the names of what has been
// counted, and whether that is all.
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
			logger.Info("Used is corrected", "quota", key, "resource", name, "was", was.String(), "is", used.String())
		}
	}
}
