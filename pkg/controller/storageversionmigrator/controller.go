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

package storageversionmigrator

import (
	"context"
	"fmt"
	"slices"
	"time"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	storagemigrationlisters "k8s.io/client-go/listers/storagemigration/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "storage-version-migrator-controller"

const (
	// workers is the number of resources that are migrated at the same time.
	workers = 5
	// qps bounds the updates per second of all migrations: it leaves most of the disk of a small server to its
	// clients, as gatehouse encryption rewrite does.
	qps = 200
	// unknownFor is the age at which a migration of an unknown resource fails. A resource may be served late.
	unknownFor = time.Minute
)

// Controller carries out migrations, one at a time for each resource.
type Controller struct {
	client    kubernetes.Interface
	metadata  metadata.Interface
	discovery discovery.DiscoveryInterfaceWithContext
	limiter   flowcontrol.RateLimiter

	migrations storagemigrationlisters.StorageVersionMigrationLister
	synced     cache.InformerSynced
	queue      workqueue.TypedRateLimitingInterface[metav1.GroupResource]
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	migrations := shared.StorageVersionMigrations()
	c := &Controller{
		client: client, metadata: objects, discovery: discovery.ToDiscoveryInterfaceWithContext(client.Discovery()), limiter: flowcontrol.NewTokenBucketRateLimiter(qps, qps),
		migrations: migrations.Lister(), synced: migrations.Informer().HasSynced, queue: queue.New[metav1.GroupResource](Name),
	}
	_, err = migrations.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, obj any) { c.enqueue(obj) },
		DeleteFunc: c.enqueue,
	})
	return c, err
}

// enqueue enqueues the resource of a migration.
func (c *Controller) enqueue(obj any) {
	if m, ok := tombstone.Object[*migration](obj); ok {
		c.queue.Add(m.Spec.Resource)
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))

	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync makes the next step for a resource. The watch event of the step enqueues the resource again.
func (c *Controller) sync(ctx context.Context, resource metav1.GroupResource) error {
	all, err := c.migrations.List(labels.Everything())
	if err != nil {
		return err
	}
	next := decide(slices.DeleteFunc(all, func(m *migration) bool { return m.Spec.Resource != resource }))
	for _, ended := range next.ended {
		if err := c.write(ctx, ended, running(metav1.ConditionFalse, "MigrationCompleted", "Migration completed")); err != nil {
			return err
		}
	}
	switch {
	case next.start != nil:
		return c.write(ctx, next.start, isRunning(0, 0, nil))
	case next.active == nil:
		return nil
	}
	target, problem, err := c.find(ctx, next.active.Spec.Resource)
	if err != nil {
		return err
	}
	if problem == unknown && !isFinal(next.active, time.Now()) {
		return queue.Requeue{Reason: problem}
	}
	if problem != "" {
		return c.write(ctx, next.active, failed(problem))
	}
	if next.active.Status.ResourceVersion == "" {
		return c.begin(ctx, next.active, target)
	}
	return c.migrate(ctx, next.active, target)
}

// isFinal reports whether a migration of a resource that is unknown at this time fails.
func isFinal(m *migration, now time.Time) bool {
	return now.Sub(m.CreationTimestamp.Time) >= unknownFor
}

const unknown = "resource does not exist in discovery"

// find returns the preferred version of a resource, or the reason why it cannot be migrated.
func (c *Controller) find(ctx context.Context, resource metav1.GroupResource) (target schema.GroupVersionResource, problem string, err error) {
	lists, err := c.discovery.ServerPreferredResourcesWithContext(ctx)
	for _, list := range lists {
		version, parseErr := schema.ParseGroupVersion(list.GroupVersion)
		if parseErr != nil || version.Group != resource.Group {
			continue
		}
		for _, found := range list.APIResources {
			if found.Name != resource.Resource {
				continue
			}
			target = version.WithResource(found.Name)
			for _, verb := range requiredVerbs {
				if !slices.Contains(found.Verbs, verb) {
					problem = fmt.Sprintf("resource %q does not support the verbs %v", target.String(), requiredVerbs)
				}
			}
			return target, problem, nil
		}
	}
	if err != nil {
		return target, "", err
	}
	return target, unknown, nil
}

// requiredVerbs are those of a resource whose objects can be migrated.
var requiredVerbs = []string{"update", "patch", "list"}

// begin records the current version of the resource: objects of later versions have been written as the server
// writes now. A controller that restarts goes on from there.
func (c *Controller) begin(ctx context.Context, m *migration, target schema.GroupVersionResource) error {
	list, err := c.metadata.Resource(target).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	changed := m.DeepCopy()
	changed.Status.ResourceVersion = list.ResourceVersion
	return c.write(ctx, changed)
}

// write updates the status of a migration with these conditions. A conflict means that the watch brings a newer
// object, which enqueues the resource again.
func (c *Controller) write(ctx context.Context, m *migration, conditions ...metav1.Condition) error {
	_, err := c.client.StoragemigrationV1().StorageVersionMigrations().UpdateStatus(ctx, with(m, conditions...), metav1.UpdateOptions{})
	return queue.IgnoreOutdated(err)
}

type migration = storagemigrationv1.StorageVersionMigration
