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

package garbagecollector

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/lru"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "generic-garbage-collector"

const (
	// workers is the number of objects that are reconciled concurrently. Deletes wait for disk.
	workers = 20
	// rememberedGone is the number of absent owners that are cached, so that a thousand
	// dependents of one of them cause one request and not a thousand.
	rememberedGone = 4096
	// discoveryRetry is the time until a discovery that failed in part is repeated. Collection
	// begins when all kinds are known: an unknown kind could be an owner.
	discoveryRetry = time.Second
)

// Controller collects garbage.
type Controller struct {
	metadata  metadata.Interface
	discovery discovery.DiscoveryInterfaceWithContext
	informers *informers.Shared
	events    typedcorev1.EventsGetter
	recorder  record.EventRecorder
	queue     workqueue.TypedRateLimitingInterface[key]
	gone      *lru.Cache

	// kinds and graph are set once, before the workers start.
	kinds map[schema.GroupKind]resource
	graph graph
}

// New returns a controller that writes with the configuration and watches with shared informers.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Controller{
		metadata:  objects,
		discovery: discoverer,
		informers: shared,
		events:    client.CoreV1(),
		queue:     queue.New[key](Name),
		gone:      lru.New(rememberedGone),
	}, nil
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithName(Name)
	ctx = klog.NewContext(ctx, logger)
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.events.Events("")})
	c.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Name})

	if err := wait.PollUntilContextCancel(ctx, discoveryRetry, true, func(ctx context.Context) (bool, error) {
		_, lists, err := c.discovery.ServerGroupsAndResourcesWithContext(ctx)
		if ctx.Err() != nil { // the end of the server is no failure
			return false, ctx.Err()
		}
		if err != nil {
			logger.Error(err, "Discovery failed, retrying: collection starts when all groups are known")
			return false, nil
		}
		c.kinds = resources(lists)
		return len(c.kinds) > 0, nil
	}); err != nil {
		return
	}
	synced, err := c.watch()
	if err != nil {
		logger.Error(err, "Garbage collection failed to start")
		return
	}
	c.informers.StartWithContext(ctx)
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// watch builds the graph of all deletable resources.
func (c *Controller) watch() ([]cache.InformerSynced, error) {
	c.graph = graph{}
	var synced []cache.InformerSynced
	for _, r := range c.kinds {
		if !r.watched || c.graph[r.GroupVersionResource] != nil {
			continue
		}
		informer := c.informers.ResourceInformer(r.GroupVersionResource)
		if err := informer.AddIndexers(indexers()); err != nil {
			return nil, fmt.Errorf("%s: %w", r.GroupVersionResource, err)
		}
		registration, err := informer.AddEventHandler(c.handler(r.GroupVersionResource))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.GroupVersionResource, err)
		}
		c.graph[r.GroupVersionResource] = informer.GetIndexer()
		synced = append(synced, registration.HasSynced)
	}
	return synced, nil
}

// handler enqueues the object of an event, the owners that wait for it, and the dependents that
// it leaves behind.
func (c *Controller) handler(r schema.GroupVersionResource) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if object, err := ownership(obj); err == nil && hasWork(object) {
				c.queue.Add(keyOf(r, object))
			}
		},
		UpdateFunc: func(was, now any) {
			old, err := ownership(was)
			object, otherErr := ownership(now)
			if err != nil || otherErr != nil {
				return
			}
			if old.UID != object.UID {
				c.deleted(r, old)
				old = &metav1.PartialObjectMetadata{}
			}
			if !concerns(old, object) {
				return
			}
			if hasWork(object) {
				c.queue.Add(keyOf(r, object))
			}
			if !sameOwners(old, object) {
				c.enqueueOwners(old)
			}
		},
		DeleteFunc: func(obj any) {
			if object, err := ownership(obj); err == nil {
				c.deleted(r, object)
			}
		},
	}
}

// deleted enqueues the dependents of a deleted object, and the owners that waited for it.
func (c *Controller) deleted(r schema.GroupVersionResource, object *metav1.PartialObjectMetadata) {
	c.gone.Add(goneKey{uid: object.UID}, true)
	for _, dependent := range c.graph.find(byOwner, object.UID) {
		c.queue.Add(dependent.key)
	}
	c.queue.Forget(keyOf(r, object))
	c.enqueueOwners(object)
}

// enqueueOwners enqueues the owners of an object that are being deleted.
func (c *Controller) enqueueOwners(object *metav1.PartialObjectMetadata) {
	for _, ref := range object.OwnerReferences {
		if owner := c.graph.object(ref.UID); owner != nil && hasWork(owner.object) && owner.object.DeletionTimestamp != nil {
			c.queue.Add(owner.key)
		}
	}
}
