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

package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
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
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/backoff"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/events"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	listers "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "release-controller"

// workers is the number of releases that are reconciled concurrently. Each may have many pending
// requests.
const workers = 10

// writers is the number of instances that are created and deleted concurrently, for all releases
// together. More would not be faster, and would block other clients: flow control rejects users
// with more than some hundred queued requests.
const writers = 32

// writerBytes bounds the bytes of instances in pending requests, for all releases together.
const writerBytes = 8 << 20

// Controller keeps releases at their number of instances.
type Controller struct {
	client         versioned.Interface
	releases       listers.ReleaseLister
	releaseIndexer cache.Indexer
	instances      cache.Indexer
	synced         []cache.InformerSynced

	expectations *Expectations
	losses       *losses
	readiness    *readiness
	rewrites     *backoff.Backoff[attempt]
	freshness    *freshness
	writeSlots   chan struct{}       // one for each of writers
	bytes        *semaphore.Weighted // writerBytes
	queue        workqueue.TypedRateLimitingInterface[types.NamespacedName]
	events       record.EventRecorder
	runEvents    func(context.Context)
	clock        clock.PassiveClock
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
	releases, instances := shared.Fleet().V1alpha1().Releases(), shared.Fleet().V1alpha1().Instances()
	c := &Controller{
		client:         client,
		releases:       releases.Lister(),
		releaseIndexer: releases.Informer().GetIndexer(),
		instances:      instances.Informer().GetIndexer(),
		expectations:   NewExpectations(clock),
		losses:         newLosses(clock),
		readiness:      newReadiness(clock),
		rewrites:       backoff.New[attempt](firstRewrite, lastRewrite, clock),
		freshness:      newFreshness(releases.Informer().GetStore().LastStoreSyncResourceVersion, instances.Informer().GetStore().LastStoreSyncResourceVersion),
		writeSlots:     make(chan struct{}, writers),
		bytes:          semaphore.NewWeighted(writerBytes),
		queue:          queue.New[types.NamespacedName](Name),
		events:         recorder,
		runEvents:      func(ctx context.Context) { <-ctx.Done() },
		clock:          clock,
	}
	if err := releases.Informer().AddIndexers(cache.Indexers{byApp: indexByApp}); err != nil {
		return nil, err
	}
	if err := instances.Informer().AddIndexers(cache.Indexers{byRelease: indexByRelease}); err != nil {
		return nil, err
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		releases.Informer():  c.releaseHandler(),
		instances.Informer(): c.instanceHandler(),
	} {
		registration, err := informer.AddEventHandler(handler)
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

// sync reconciles one release: it adopts and releases instances, creates or deletes some unless
// earlier changes are still expected, and writes the status.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName) error {
	release, err := c.releases.Releases(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	switch c.freshness.check(release.UID) {
	case behind:
		return queue.Requeue{Reason: "the informer cache is older than the last write"}
	case reached:
		c.expectations.CaughtUp(release.UID)
	}
	settled := c.expectations.Satisfied(release.UID)
	selector, err := metav1.LabelSelectorAsSelector(release.Spec.Selector)
	if err != nil {
		// Validation refuses such a selector, and it is immutable: a retry would fail forever.
		klog.FromContext(ctx).Error(err, "Reconcile failed: the selector is invalid", "release", key)
		return nil
	}
	active, err := c.claim(ctx, release, selector)
	if err != nil {
		return err
	}
	var failure error
	if settled {
		if c.reportsReadyTooLong(release, len(active)) {
			return c.writeCounts(ctx, release, active)
		}
		failure = c.scale(ctx, release, selector, active)
	}
	now := c.clock.Now()
	status := Status(release, active, failure, now)
	if !settled {
		// Nothing was tried, so it is unknown whether it would fail.
		status.Conditions = slices.Clone(release.Status.Conditions)
		// The expected event may have been missed. Then no event would enqueue the release.
		c.queue.AddAfter(key, c.expectations.Left(release.UID))
	}
	if err := c.withHealth(release, &status, now); err != nil {
		return err
	}
	if err := c.writeStatus(ctx, release, status); err != nil {
		return err
	}
	if v := (*changedAtAdmission)(nil); errors.As(failure, &v) {
		c.queue.AddAfter(key, v.after)
		return nil
	}
	if failure != nil {
		return queue.Refusal(failure)
	}
	c.enqueueNextCheck(key, release, &status, active, now)
	return nil
}

// reportsReadyTooLong reports whether a release whose spec has changed is still Ready, and would be for as
// long as it takes to create many instances: the status is written after a round of creations.
func (c *Controller) reportsReadyTooLong(release *v1alpha1.Release, active int) bool {
	ready := meta.FindStatusCondition(release.Status.Conditions, v1alpha1.ReleaseConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration == release.Generation {
		return false
	}
	// If admission changes the status, this write may be reverted, and must not be repeated.
	_, reverted := c.rewrites.Left(attempt{release.UID, writingStatus})
	create, _ := Plan(release, active)
	return create > writers && !reverted
}

// writeCounts writes the status before anything is created. The event of this write enqueues the release.
func (c *Controller) writeCounts(ctx context.Context, release *v1alpha1.Release, active []*v1alpha1.Instance) error {
	now := c.clock.Now()
	status := Status(release, active, nil, now)
	if err := c.withHealth(release, &status, now); err != nil {
		return err
	}
	return c.writeStatus(ctx, release, status)
}

// enqueueNextCheck enqueues a release for when ended instances may be replaced, and for when the next
// ready instance becomes available.
func (c *Controller) enqueueNextCheck(key types.NamespacedName, release *v1alpha1.Release, status *v1alpha1.ReleaseStatus, active []*v1alpha1.Instance, now time.Time) {
	if _, left := c.losses.held(release.UID); left > 0 {
		c.queue.AddAfter(key, left)
	}
	if release.Spec.MinReadySeconds > 0 && status.ReadyReplicas != status.AvailableReplicas {
		next := NextCheck(release, active, now)
		if next == 0 {
			next = time.Duration(release.Spec.MinReadySeconds) * time.Second
		}
		c.queue.AddAfter(key, next)
	}
}

// withHealth sets the conditions Ready, Reconciling and Stalled.
func (c *Controller) withHealth(release *v1alpha1.Release, status *v1alpha1.ReleaseStatus, now time.Time) error {
	var instances []*v1alpha1.Instance
	held, _ := c.losses.held(release.UID)
	if status.AvailableReplicas < status.Replicas || held > 0 { // otherwise Health does not read them
		var err error
		if instances, err = c.find(releaseKey(release.Namespace, release.UID)); err != nil {
			return err
		}
	}
	withHealth(release, status, View{Instances: instances, Held: held, Now: now})
	return nil
}

// writeStatus writes the status if it has changed. A conflict is ignored: the event of the other
// write enqueues the release.
func (c *Controller) writeStatus(ctx context.Context, release *v1alpha1.Release, status v1alpha1.ReleaseStatus) error {
	if !Changed(release.Status, status) {
		return nil
	}
	if left, _ := c.rewrites.Left(attempt{release.UID, writingStatus}); left > 0 {
		c.enqueueAfterBackoff(release, writingStatus)
		return nil
	}
	release = release.DeepCopy()
	release.Status = status
	written, err := c.client.FleetV1alpha1().Releases(release.Namespace).UpdateStatus(ctx, release, metav1.UpdateOptions{})
	if err != nil {
		if err = queue.IgnoreOutdated(err); err != nil {
			err = fmt.Errorf("writing the status: %w", err)
		}
		return err
	}
	c.freshness.wroteRelease(release.UID, written.ResourceVersion)
	difference := ""
	if !sameOnTheWire(status, written.Status) {
		difference = "status differs"
	}
	if c.checkWritten(ctx, release, writingStatus, "the status", difference) != nil {
		c.enqueueAfterBackoff(release, writingStatus)
	}
	return nil
}

// enqueueAfterBackoff enqueues a release for when the kind of write may be tried again.
func (c *Controller) enqueueAfterBackoff(release *v1alpha1.Release, what string) {
	left, _ := c.rewrites.Left(attempt{release.UID, what})
	c.queue.AddAfter(types.NamespacedName{Namespace: release.Namespace, Name: release.Name}, left)
}
