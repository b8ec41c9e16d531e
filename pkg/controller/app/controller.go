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

package app

import (
	"context"
	"errors"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/backoff"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/events"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	fleetlisters "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "app-controller"

// workers is the number of apps that are reconciled concurrently. Each waits for the server most of
// the time.
const workers = 5

// Controller rolls apps out.
type Controller struct {
	client    fleetclient.FleetV1alpha1Interface
	apps      fleetlisters.AppLister
	releases  cache.Indexer
	instances cache.Indexer
	synced    []cache.InformerSynced
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]
	recorder  record.EventRecorder
	runEvents func(context.Context)
	clock     clock.PassiveClock
	rewrites  *backoff.Backoff[attempt]
	marks     marks
	writes    writes
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
	c, err := NewForClient(client, shared, recorder, clock.RealClock{})
	if err != nil {
		return nil, err
	}
	c.runEvents = recorder.Run
	return c, nil
}

// NewForClient returns a controller for tests that provide some of its parts. The caller runs the
// recorder.
func NewForClient(client versioned.Interface, shared externalversions.SharedInformerFactory, recorder record.EventRecorder, clock clock.PassiveClock) (*Controller, error) {
	fleet := shared.Fleet().V1alpha1()
	apps, releases, instances := fleet.Apps(), fleet.Releases(), fleet.Instances()
	c := &Controller{
		client:    client.FleetV1alpha1(),
		apps:      apps.Lister(),
		releases:  releases.Informer().GetIndexer(),
		instances: instances.Informer().GetIndexer(),
		queue:     queue.New[types.NamespacedName](Name),
		recorder:  recorder,
		runEvents: func(ctx context.Context) { <-ctx.Done() },
		clock:     clock,
		rewrites:  backoff.New[attempt](firstRewrite, lastRewrite, clock),
		marks:     marks{of: map[types.UID]Mark{}},
		writes:    writes{of: map[types.UID]write{}},
	}
	for _, watched := range []struct {
		informer cache.SharedIndexInformer
		indexers cache.Indexers
		handler  cache.ResourceEventHandler
	}{
		{apps.Informer(), nil, c.appHandler()},
		{releases.Informer(), cache.Indexers{byOwner: ownerOf, orphans: namespaceOfOrphan}, c.releaseHandler()},
		{instances.Informer(), cache.Indexers{byOwner: ownerOf}, c.instanceHandler()},
	} {
		if err := watched.informer.AddIndexers(watched.indexers); err != nil {
			return nil, err
		}
		registration, err := watched.informer.AddEventHandler(watched.handler)
		if err != nil {
			return nil, err
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.runEvents(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync reconciles one app: it claims releases, decides, carries out the plan, and writes the status.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName) error {
	app, err := c.apps.Apps(key.Namespace).Get(key.Name)
	if err != nil {
		return queue.Retry(err)
	}
	if after, waits := c.writes.wait(app, c.clock.Now()); waits {
		c.queue.AddAfter(key, after)
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(app.Spec.Selector)
	if err != nil || selector.Empty() {
		c.recorder.Event(app, corev1.EventTypeWarning, "SelectingAll", "spec.selector selects all instances, or is invalid: this app is not reconciled")
		return nil
	}
	releases, pending, err := c.claim(ctx, app, selector)
	if err != nil {
		return queue.Retry(err)
	}
	now := c.clock.Now()
	plan, err := Decide(View{App: app, Releases: releases, InstancesOf: c.instancesOf, Now: now, Mark: c.marks.get(app)})
	if err != nil {
		return err
	}
	status, failed := c.execute(ctx, app, plan)
	var t *trouble
	if errors.As(failed, &t) {
		failed = nil
	}
	pending = sooner(pending, t)
	reported := pending
	if reported == nil && failed != nil && !HasProgressDeadline(app) && errors.As(failed, &queue.Refused{}) {
		reported = &trouble{reason: ReleaseCreateErrorReason, message: failed.Error()} // the app has no condition Progressing
	}
	withHealth(app, &status, FindNewRelease(app, releases), reported, now)
	written, t, err := c.writeStatus(ctx, app, status)
	pending = sooner(pending, t)
	if err == nil {
		c.marks.set(app.UID, plan.Mark)
		c.reportDeadline(ctx, app, &status)
		if failed == nil {
			t, err = c.writeRevision(ctx, written, plan.Revision)
			pending = sooner(pending, t)
		}
	}
	if after, waits := CheckAfter(app, &status, now); waits {
		c.queue.AddAfter(key, after)
	}
	if pending != nil {
		c.queue.AddAfter(key, pending.after)
	}
	if failed != nil {
		return queue.Retry(failed)
	}
	return queue.Retry(err)
}

// reportDeadline records one event when the deadline has passed.
func (c *Controller) reportDeadline(ctx context.Context, app *v1alpha1.App, status *v1alpha1.AppStatus) {
	if progressReason(status) != ProgressDeadlineExceededReason || progressReason(&app.Status) == ProgressDeadlineExceededReason {
		return
	}
	message := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionProgressing).Message
	klog.FromContext(ctx).V(2).Info("Progress deadline exceeded", "app", klog.KObj(app), "message", message)
	c.recorder.Event(app, corev1.EventTypeWarning, ProgressDeadlineExceededReason, message)
}
