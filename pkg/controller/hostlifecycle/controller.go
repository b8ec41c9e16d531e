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
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/events"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	listers "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "host-lifecycle-controller"

// workers is the number of hosts that are reconciled concurrently. Each waits for the server most
// of the time.
const workers = 8

// byHost indexes instances by the host to which they are bound.
const byHost = Name + "/host"

// Controller maintains the conditions and taints of hosts, and evicts their instances.
type Controller struct {
	options   Options
	client    versioned.Interface
	hosts     listers.HostLister
	leases    listers.HostLeaseLister
	instances cache.Indexer
	synced    []cache.InformerSynced
	queue     workqueue.TypedRateLimitingInterface[string]
	recorder  *events.Recorder
	clock     clock.WithTicker

	lock    sync.Mutex
	monitor *monitor
	// memories are by host. The queue reconciles a host by one worker only, so that only the map
	// needs the lock.
	memories map[string]*memory
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared externalversions.SharedInformerFactory, o Options) (*Controller, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("options of the %s: %w", Name, err)
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	recorder, err := events.New(config, Name)
	if err != nil {
		return nil, err
	}
	fleet := shared.Fleet().V1alpha1()
	c := &Controller{
		options:   o,
		client:    client,
		hosts:     fleet.Hosts().Lister(),
		leases:    fleet.HostLeases().Lister(),
		instances: fleet.Instances().Informer().GetIndexer(),
		queue:     queue.New[string](Name),
		recorder:  recorder,
		clock:     clock.RealClock{},
		monitor:   newMonitor(o),
		memories:  map[string]*memory{},
	}
	if err := fleet.Instances().Informer().AddIndexers(cache.Indexers{byHost: hostOf}); err != nil {
		return nil, err
	}
	hosts, err := fleet.Hosts().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.enqueue(obj) },
		UpdateFunc: c.hostChanged,
		DeleteFunc: func(obj any) { c.enqueue(obj) },
	})
	if err != nil {
		return nil, err
	}
	instances, err := fleet.Instances().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.instanceChanged(nil, obj) },
		UpdateFunc: c.instanceChanged,
	})
	if err != nil {
		return nil, err
	}
	c.synced = []cache.InformerSynced{hosts.HasSynced, instances.HasSynced, fleet.HostLeases().Informer().HasSynced}
	return c, nil
}

func hostOf(obj any) ([]string, error) {
	if instance, ok := obj.(*v1alpha1.Instance); ok && instance.Spec.HostName != "" {
		return []string{instance.Spec.HostName}, nil
	}
	return nil, nil
}

// enqueue enqueues a host.
func (c *Controller) enqueue(obj any) {
	if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
		c.queue.Add(key.Name)
	}
}

// hostChanged ignores changes that do not affect readiness or taints.
func (c *Controller) hostChanged(was, now any) {
	old, ok := was.(*v1alpha1.Host)
	host, alsoOk := now.(*v1alpha1.Host)
	if ok && alsoOk && (old.UID != host.UID || readyOf(old).Status != readyOf(host).Status || !equality.Semantic.DeepEqual(old.Spec.Taints, host.Spec.Taints)) {
		c.queue.Add(host.Name)
	}
}

// instanceChanged enqueues the host of an instance if that may affect the instance: the host is not
// ready, has a NoExecute taint, or does not exist.
func (c *Controller) instanceChanged(was, now any) {
	instance, ok := now.(*v1alpha1.Instance)
	if !ok || instance.Spec.HostName == "" {
		return
	}
	if old, ok := was.(*v1alpha1.Instance); ok && old.UID == instance.UID && old.Spec.HostName != "" &&
		(old.DeletionTimestamp == nil) == (instance.DeletionTimestamp == nil) && len(old.Spec.Tolerations) == len(instance.Spec.Tolerations) {
		return
	}
	host, err := c.hosts.Get(instance.Spec.HostName)
	if err == nil && readyOf(host).Status == metav1.ConditionTrue && !slices.ContainsFunc(host.Spec.Taints, func(t v1alpha1.Taint) bool { return t.Effect == v1alpha1.TaintEffectNoExecute }) {
		return
	}
	c.queue.Add(instance.Spec.HostName)
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.recorder.Run(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	wg.Go(func() { c.monitorHosts(ctx) })
	queue.Run(ctx, c.queue, workers, c.sync)
}
