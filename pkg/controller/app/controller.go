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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	"github.com/gatehouse-dev/gatehouse/pkg/controller/backoff"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/events"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	fleetlisters "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

// Name is the controller's, and with a prefix its user's.
const Name = "app-controller"

// workers is how many apps are looked at, at the same time. Each waits for the server most of
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
	vain      *backoff.Backoff[attempt]
	marks     marks
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
	c, err := NewForClient(client, shared, recorder, clock.RealClock{})
	if err != nil {
		return nil, err
	}
	c.runEvents = recorder.Run
	return c, nil
}

// NewForClient makes a controller of its parts, for tests that hold some of them. Events go to
// the recorder, which somebody else runs.
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
		vain:      backoff.New[attempt](firstVainWrite, lastVainWrite, clock),
		marks:     marks{of: map[types.UID]Mark{}},
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

// Run works until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.runEvents(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync takes one app a step further: it claims releases, decides, does what was decided, and
// writes what came of it into the app.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName) error {
	app, err := c.apps.Apps(key.Namespace).Get(key.Name)
	if err != nil {
		return retry(err)
	}
	selector, err := metav1.LabelSelectorAsSelector(app.Spec.Selector)
	if err != nil || selector.Empty() {
		c.recorder.Event(app, corev1.EventTypeWarning, "SelectingAll", "spec.selector chooses all instances, or cannot be read: nothing is done for this app")
		return nil
	}
	releases, vainly, err := c.claim(ctx, app, selector)
	if err != nil {
		return retry(err)
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
	vainly = sooner(vainly, t)
	told := vainly
	if told == nil && failed != nil && !HasProgressDeadline(app) && errors.As(failed, &queue.Refused{}) {
		told = &trouble{reason: ReleaseCreateErrorReason, message: failed.Error()} // no condition Progressing says so
	}
	withHealth(app, &status, FindNewRelease(app, releases), told, now)
	written, t, err := c.writeStatus(ctx, app, status)
	vainly = sooner(vainly, t)
	if err == nil {
		c.marks.set(app.UID, plan.Mark)
		c.tellDeadline(ctx, app, &status)
		if failed == nil {
			t, err = c.writeRevision(ctx, written, plan.Revision)
			vainly = sooner(vainly, t)
		}
	}
	if after, waits := CheckAfter(app, &status, now); waits {
		c.queue.AddAfter(key, after)
	}
	if vainly != nil {
		c.queue.AddAfter(key, vainly.after)
	}
	if failed != nil {
		return retry(failed)
	}
	return retry(err)
}

// tellDeadline tells, once, that the deadline has passed.
func (c *Controller) tellDeadline(ctx context.Context, app *v1alpha1.App, status *v1alpha1.AppStatus) {
	if progressReason(status) != ProgressDeadlineExceededReason || progressReason(&app.Status) == ProgressDeadlineExceededReason {
		return
	}
	message := meta.FindStatusCondition(status.Conditions, v1alpha1.AppConditionProgressing).Message
	klog.FromContext(ctx).V(2).Info("The progress deadline has passed", "app", klog.KObj(app), "message", message)
	c.recorder.Event(app, corev1.EventTypeWarning, ProgressDeadlineExceededReason, message)
}

// retry leaves alone what is gone or goes, and takes an app of which something else was
// changed meanwhile once more without a word.
func retry(err error) error {
	switch {
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrors.IsConflict(err):
		return queue.Again{Why: err.Error()}
	}
	return err
}
