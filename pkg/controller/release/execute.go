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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/adoption"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// Claims sorts instances into those that a release owns, adopts and releases; see
// adoption.Decide.
func Claims(release *v1alpha1.Release, selector labels.Selector, instances []*v1alpha1.Instance) adoption.Claims[*v1alpha1.Instance] {
	return adoption.Decide(release, selector, instances)
}

// claim adopts and releases instances by the release's selector, and returns the active ones
// that the release then owns.
func (c *Controller) claim(ctx context.Context, release *v1alpha1.Release, selector labels.Selector) ([]*v1alpha1.Instance, error) {
	var candidates []*v1alpha1.Instance
	for _, key := range []string{releaseKey(release.Namespace, release.UID), orphansKey(release.Namespace)} {
		found, err := c.find(key)
		if err != nil {
			return nil, err
		}
		c.noteEnded(release, found)
		candidates = append(candidates, Active(found)...)
	}
	claims := Claims(release, selector, candidates)
	var failures []error
	if left, _ := c.rewrites.Left(attempt{release.UID, releasing}); left > 0 {
		c.enqueueAfterBackoff(release, releasing)
		claims.Release = nil
	}
	for _, i := range claims.Release {
		patch, err := adoption.ReleasePatch(release, i)
		if err == nil {
			err = c.patch(ctx, release, releasing, i, patch)
		}
		if err != nil && !apierrors.IsNotFound(err) {
			failures = append(failures, fmt.Errorf("releasing instance %s: %w", i.Name, err))
		}
	}
	mine := claims.Mine
	if left, _ := c.rewrites.Left(attempt{release.UID, adopting}); left > 0 {
		// They count nevertheless, or others would be created in their place.
		c.enqueueAfterBackoff(release, adopting)
		mine, claims.Adopt = append(mine, claims.Adopt...), nil
	}
	if len(claims.Adopt) > 0 {
		if err := c.mayAdopt(ctx, release); err != nil {
			return nil, errors.Join(append(failures, err)...)
		}
	}
	for _, i := range claims.Adopt {
		patch, err := adoption.AdoptPatch(release, kind(), i)
		if err == nil {
			err = c.patch(ctx, release, adopting, i, patch)
		}
		switch {
		case err == nil:
			mine = append(mine, i)
		case !apierrors.IsNotFound(err):
			failures = append(failures, fmt.Errorf("adopting instance %s: %w", i.Name, err))
		}
	}
	return mine, summary(failures)
}

// noteEnded records which of the instances belong to the release and have ended.
func (c *Controller) noteEnded(release *v1alpha1.Release, instances []*v1alpha1.Instance) {
	for _, i := range instances {
		if helper.IsInstanceTerminal(i) && i.DeletionTimestamp == nil && metav1.IsControlledBy(i, release) {
			c.losses.ended(release.UID, i, func() bool {
				return c.hasRelease(release.Namespace, release.Name, release.UID) && c.hasInstance(i)
			})
		}
	}
}

// hasRelease reports whether the release is in the informer's cache.
func (c *Controller) hasRelease(namespace, name string, uid types.UID) bool {
	release, err := c.releases.Releases(namespace).Get(name)
	return err == nil && release.UID == uid
}

// hasInstance reports whether the instance, in any version, is in the informer's cache.
func (c *Controller) hasInstance(i *v1alpha1.Instance) bool {
	cached, found, err := c.instances.Get(i)
	if err != nil || !found {
		return false
	}
	current, ok := cached.(*v1alpha1.Instance)
	return ok && current.UID == i.UID
}

// summary joins errors; if all are conflicts, the key is requeued without a failure.
func summary(failures []error) error {
	err := errors.Join(failures...)
	for _, failure := range failures {
		if !apierrors.IsConflict(failure) {
			return err
		}
	}
	if err == nil {
		return nil
	}
	return queue.Requeue{Reason: err.Error()}
}

func (c *Controller) find(key string) ([]*v1alpha1.Instance, error) {
	objects, err := c.instances.ByIndex(byRelease, key)
	if err != nil {
		return nil, err
	}
	found := make([]*v1alpha1.Instance, 0, len(objects))
	for _, object := range objects {
		if i, ok := object.(*v1alpha1.Instance); ok {
			found = append(found, c.readiness.correct(i))
		}
	}
	return found, nil
}

// mayAdopt reads the release from the server, and not from the cache: a release that was deleted or
// recreated a moment ago would have its instances garbage collected.
func (c *Controller) mayAdopt(ctx context.Context, release *v1alpha1.Release) error {
	fresh, err := c.client.FleetV1alpha1().Releases(release.Namespace).Get(ctx, release.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("reading release %s before it adopts: %w", release.Name, err)
	case fresh.UID != release.UID:
		return queue.Requeue{Reason: fmt.Sprintf("release %s was recreated, and the informer does not show it yet", release.Name)}
	case fresh.DeletionTimestamp != nil:
		return queue.Requeue{Reason: fmt.Sprintf("release %s is being deleted", release.Name)}
	}
	return nil
}

func (c *Controller) patch(ctx context.Context, release *v1alpha1.Release, what string, i *v1alpha1.Instance, patch []byte) error {
	patched, err := c.client.FleetV1alpha1().Instances(i.Namespace).Patch(ctx, i.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	c.freshness.wroteInstance(release.UID, patched.ResourceVersion)
	if c.patched(ctx, release, what, patched, what == adopting) != nil {
		c.enqueueAfterBackoff(release, what)
	}
	return nil
}

// scale creates or deletes instances, and returns the first failure.
func (c *Controller) scale(ctx context.Context, release *v1alpha1.Release, selector labels.Selector, active []*v1alpha1.Instance) error {
	create, remove := Plan(release, len(active))
	held, left := c.losses.held(release.UID)
	if create > 0 && held > 0 {
		klog.FromContext(ctx).V(2).Info("Delaying replacement of instances that ended soon after creation", "release", klog.KObj(release), "count", held, "after", left)
		create = max(create-held, 0)
	}
	switch {
	case create > 0:
		if err := c.mayCreate(ctx, release, selector); err != nil {
			return err
		}
		klog.FromContext(ctx).V(2).Info("Creating instances", "release", klog.KObj(release), "count", create, "active", len(active))
		return c.create(ctx, release, selector, create)
	case remove > 0:
		neighbours, err := c.neighbours(release, active)
		if err != nil {
			return err
		}
		klog.FromContext(ctx).V(2).Info("Deleting instances", "release", klog.KObj(release), "count", remove, "active", len(active))
		return c.remove(ctx, release, Cheapest(active, neighbours, remove, c.clock.Now()))
	}
	return nil
}

// neighbours returns the instances of all releases of the same app, and always the release's own,
// some of which may have been adopted just now. Upstream uses none for a replica set without an
// owner, and so scales it down at random; here a release without an app is spread, too.
func (c *Controller) neighbours(release *v1alpha1.Release, own []*v1alpha1.Instance) ([]*v1alpha1.Instance, error) {
	all := slices.Clone(own)
	app := metav1.GetControllerOfNoCopy(release)
	if app == nil {
		return all, nil
	}
	siblings, err := c.releaseIndexer.ByIndex(byApp, releaseKey(release.Namespace, app.UID))
	if err != nil {
		return nil, err
	}
	for _, object := range siblings {
		sibling, ok := object.(*v1alpha1.Release)
		if !ok || sibling.UID == release.UID {
			continue
		}
		found, err := c.find(releaseKey(sibling.Namespace, sibling.UID))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// acquireWriteSlot waits for a write slot, and returns the function that releases it.
func (c *Controller) acquireWriteSlot() (done func()) {
	c.writeSlots <- struct{}{}
	return func() { <-c.writeSlots }
}

// create creates instances. In a namespace that is being deleted the first refusal ends it without
// a failure: the release is deleted, too.
func (c *Controller) create(ctx context.Context, release *v1alpha1.Release, selector labels.Selector, count int) error {
	c.expectations.Creating(release.UID)
	defer c.expectations.CreationsSent(release.UID)
	size := min(int64(NewInstance(release).Size()), writerBytes)
	_, err := SlowStart(count, FirstBatch, func() error {
		// Before the slot, so that large instances do not block small ones.
		if err := c.bytes.Acquire(ctx, size); err != nil {
			return err
		}
		defer c.bytes.Release(size)
		defer c.acquireWriteSlot()()
		made, err := c.client.FleetV1alpha1().Instances(release.Namespace).Create(ctx, NewInstance(release), metav1.CreateOptions{})
		difference := ""
		if err == nil {
			difference = MadeDiffers(release, selector, made)
		}
		switch {
		case difference != "":
			return c.deleteUncounted(ctx, release, made, difference)
		case err == nil:
			c.expectations.Created(release.UID, made.UID)
			c.freshness.wroteInstance(release.UID, made.ResourceVersion)
			c.events.Eventf(release, corev1.EventTypeNormal, reasonSuccessfulCreate, "Created instance %s", made.Name)
		case !namespaceTerminating(err) && ctx.Err() == nil:
			c.events.Event(release, corev1.EventTypeWarning, reasonFailedCreate, refusal(release, err))
		}
		return err
	})
	if namespaceTerminating(err) {
		return nil
	}
	return err
}

func namespaceTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// remove deletes by UID, and so no instance that was recreated with the same name.
func (c *Controller) remove(ctx context.Context, release *v1alpha1.Release, instances []*v1alpha1.Instance) error {
	uids := make([]types.UID, 0, len(instances))
	for _, i := range instances {
		uids = append(uids, i.UID)
	}
	c.expectations.Deleting(release.UID, uids)
	var failure error
	var once sync.Once
	var wg sync.WaitGroup
	for _, i := range instances {
		wg.Go(func() {
			defer c.acquireWriteSlot()()
			err := c.client.FleetV1alpha1().Instances(i.Namespace).Delete(ctx, i.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(i.UID))})
			if err == nil {
				c.events.Eventf(release, corev1.EventTypeNormal, reasonSuccessfulDelete, "Deleted instance %s", i.Name)
				return
			}
			// No watch event will follow.
			c.expectations.Gone(release.UID, i.UID)
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || ctx.Err() != nil {
				return
			}
			c.events.Eventf(release, corev1.EventTypeWarning, reasonFailedDelete, "Deleting instance %s failed: %v", i.Name, err)
			once.Do(func() { failure = fmt.Errorf("deleting instance %s: %w", i.Name, err) })
		})
	}
	wg.Wait()
	return failure
}
