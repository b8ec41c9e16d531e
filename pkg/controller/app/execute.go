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
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/adoption"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// Reasons of events.
const (
	// scalingReason: a release was scaled.
	scalingReason = "ScalingRelease"
)

// claim adopts the releases that the selector matches and that have no controller, releases those
// that it no longer matches, and returns the app's releases.
func (c *Controller) claim(ctx context.Context, app *v1alpha1.App, selector labels.Selector) ([]*v1alpha1.Release, *trouble, error) {
	owned, err := find[*v1alpha1.Release](c.releases, byOwner, string(app.UID))
	if err != nil {
		return nil, nil, err
	}
	free, err := find[*v1alpha1.Release](c.releases, orphans, app.Namespace)
	if err != nil {
		return nil, nil, err
	}
	claims := adoption.Decide(app, selector, append(owned, free...))
	var pending *trouble
	for _, release := range claims.Release {
		if t := c.held(app, release.Name); t != nil {
			pending = sooner(pending, t)
			continue
		}
		patch, err := adoption.ReleasePatch(app, release)
		if err != nil {
			return nil, nil, err
		}
		left, err := c.patchRelease(ctx, release, patch)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, nil, err
		}
		difference := ""
		if err == nil && metav1.IsControlledBy(left, app) {
			difference = fmt.Sprintf("metadata.ownerReferences still name app %q", app.Name)
		}
		pending = sooner(pending, c.checkWritten(ctx, app, release.Name, fmt.Sprintf("release %q", release.Name), difference))
	}
	adopted, t, err := c.adopt(ctx, app, claims.Adopt)
	return append(claims.Mine, adopted...), sooner(pending, t), err
}

// adopt makes the app the controller of releases without one. A release that is changed at admission when
// it is adopted is the app's nevertheless.
func (c *Controller) adopt(ctx context.Context, app *v1alpha1.App, releases []*v1alpha1.Release) (mine []*v1alpha1.Release, pending *trouble, err error) {
	var tried []*v1alpha1.Release
	for _, release := range releases {
		if t := c.held(app, release.Name); t != nil {
			mine, pending = append(mine, release), sooner(pending, t)
			continue
		}
		tried = append(tried, release)
	}
	if len(tried) == 0 {
		return mine, pending, nil
	}
	// The cache may be stale. An app that was deleted meanwhile must adopt nothing, or what it
	// adopts is garbage collected.
	fresh, err := c.client.Apps(app.Namespace).Get(ctx, app.Name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	if fresh.UID != app.UID || fresh.DeletionTimestamp != nil {
		return nil, nil, queue.Requeue{Reason: "the app is being deleted, or was recreated"}
	}
	for _, release := range tried {
		patch, err := adoption.AdoptPatch(app, kind(), release)
		if err != nil {
			return nil, nil, err
		}
		adopted, err := c.patchRelease(ctx, release, patch)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		difference := ""
		if !metav1.IsControlledBy(adopted, app) {
			difference = fmt.Sprintf("metadata.ownerReferences do not name app %q as the controller", app.Name)
		}
		pending = sooner(pending, c.checkWritten(ctx, app, release.Name, fmt.Sprintf("release %q", release.Name), difference))
		mine = append(mine, adopted)
	}
	return mine, pending, nil
}

func (c *Controller) patchRelease(ctx context.Context, release *v1alpha1.Release, patch []byte) (*v1alpha1.Release, error) {
	return c.client.Releases(release.Namespace).Patch(ctx, release.Name, types.MergePatchType, patch, metav1.PatchOptions{})
}

// execute carries out the plan, and returns the resulting status of the app. After a failure the
// status has what was done; the rest is decided again.
func (c *Controller) execute(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	if plan.Create != nil {
		if status, err := c.create(ctx, app, plan); err != nil {
			return status, err
		}
	}
	var pending *trouble
	for _, update := range plan.Update {
		release := update.Release
		if t := c.held(app, release.Name); t != nil {
			pending = sooner(pending, t)
			continue
		}
		updated, err := c.client.Releases(release.Namespace).Update(ctx, release, metav1.UpdateOptions{})
		if err != nil {
			return plan.Created, err
		}
		pending = sooner(pending, c.checkWritten(ctx, app, release.Name, fmt.Sprintf("release %q", release.Name), UpdatedDiffers(release, updated)))
		c.reportScaling(ctx, app, updated, update.From)
	}
	for _, release := range plan.Delete {
		klog.FromContext(ctx).V(2).Info("Deleting old release", "app", klog.KObj(app), "release", klog.KObj(release))
		err := c.client.Releases(release.Namespace).Delete(ctx, release.Name, metav1.DeleteOptions{
			// A release that was scaled up meanwhile is kept.
			Preconditions: &metav1.Preconditions{UID: &release.UID, ResourceVersion: &release.ResourceVersion},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return plan.Created, err
		}
	}
	if pending != nil {
		return plan.Status, pending
	}
	return plan.Status, nil
}

func (c *Controller) reportScaling(ctx context.Context, app *v1alpha1.App, release *v1alpha1.Release, from int32) {
	direction := "up"
	switch to := size(release); {
	case to == from:
		return
	case to < from:
		direction = "down"
	}
	klog.FromContext(ctx).V(2).Info("Scaled release", "app", klog.KObj(app), "release", klog.KObj(release), "from", from, "to", size(release))
	c.recorder.Eventf(app, corev1.EventTypeNormal, scalingReason, "scaled release %s %s from %d to %d", release.Name, direction, from, size(release))
}

// create creates the newest release. Its name may be taken: by itself, if the informer does not show
// it yet, or by another release with a template of the same hash, and then the next attempt has
// another hash. A release that was changed at admission, so that the app would not find it, is not
// created again before a dry run returns it as requested.
func (c *Controller) create(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	if t := c.held(app, creating); t != nil {
		return c.withoutNewest(app, plan), t
	}
	if _, failed := c.rewrites.Left(attemptOf(app, creating)); failed {
		if err := c.checkCreation(ctx, app, plan); err != nil {
			return c.createFailed(app, plan, err)
		}
	}
	made, err := c.client.Releases(app.Namespace).Create(ctx, plan.Create, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return c.nameTaken(ctx, app, plan)
	}
	if err != nil {
		return c.createFailed(app, plan, err)
	}
	c.reportScaling(ctx, app, made, 0)
	if t := c.checkWritten(ctx, app, creating, anyRelease, CreatedDiffers(app, plan.Create, made)); t != nil {
		return c.withoutNewest(app, plan), t
	}
	return plan.Created, nil
}

// checkCreation returns a trouble if the next release would be changed at admission.
func (c *Controller) checkCreation(ctx context.Context, app *v1alpha1.App, plan Plan) error {
	difference, err := c.probe(ctx, app, plan.Old)
	if apierrors.IsAlreadyExists(err) {
		return nil // nameTaken handles that
	}
	if err != nil {
		return err
	}
	if t := c.checkWritten(ctx, app, creating, anyRelease, difference); t != nil {
		return t
	}
	return nil
}

// nameTaken handles a newest release if its name is taken.
func (c *Controller) nameTaken(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	status := plan.Begun
	existing, err := c.client.Releases(app.Namespace).Get(ctx, plan.Create.Name, metav1.GetOptions{})
	if err != nil {
		return status, err
	}
	if !Collides(app, existing) {
		return status, queue.Requeue{Reason: "the new release exists, and the informer does not show it yet"}
	}
	// It may be an earlier attempt that was changed at admission, and not a collision.
	if err := c.checkCreation(ctx, app, plan); err != nil {
		return c.createFailed(app, plan, err)
	}
	status.CollisionCount = ptr.To(ptr.Deref(status.CollisionCount, 0) + 1)
	return status, queue.Requeue{Reason: fmt.Sprintf("release %s has another owner or template", existing.Name)}
}

// withoutNewest returns the status of an app if its newest release does not exist and is not created
// now: all its releases count as old.
func (c *Controller) withoutNewest(app *v1alpha1.App, plan Plan) v1alpha1.AppStatus {
	begun := app.DeepCopy()
	begun.Status = plan.Begun
	return SizeStatus(begun, plan.Old, nil, metav1.NewTime(c.clock.Now()))
}

// createFailed reports that the newest release of an app cannot be created.
func (c *Controller) createFailed(app *v1alpha1.App, plan Plan, err error) (v1alpha1.AppStatus, error) {
	status := c.withoutNewest(app, plan)
	var t *trouble
	if errors.As(err, &t) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return status, err
	}
	message := fmt.Sprintf("release %q cannot be created: %v", plan.Create.Name, err)
	if HasProgressDeadline(app) {
		progressing(&status, metav1.ConditionFalse, ReleaseCreateErrorReason, message, metav1.NewTime(c.clock.Now()))
	}
	c.recorder.Event(app, corev1.EventTypeWarning, ReleaseCreateErrorReason, message)
	return status, queue.Refusal(err)
}

// writeStatus writes the status if it has changed, and returns the stored app.
func (c *Controller) writeStatus(ctx context.Context, app *v1alpha1.App, status v1alpha1.AppStatus) (*v1alpha1.App, *trouble, error) {
	if apiequality.Semantic.DeepEqual(app.Status, status) {
		return app, nil, nil
	}
	if t := c.held(app, writingStatus); t != nil {
		return app, t, nil
	}
	changed := app.DeepCopy()
	changed.Status = status
	written, err := c.client.Apps(app.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return nil, nil, err
	}
	c.writes.wrote(written, c.clock.Now())
	difference := ""
	if !sameOnTheWire(status, written.Status) {
		difference = "status" + differenceOf(status, written.Status)
	}
	return written, c.checkWritten(ctx, app, writingStatus, fmt.Sprintf("app %q", app.Name), difference), nil
}

// writeRevision writes the newest release's revision to the app's annotations. The status
// subresource does not change metadata, so it is another write, and the last one: as long as the
// revision is missing, Decide treats the app's status as that of another release.
func (c *Controller) writeRevision(ctx context.Context, app *v1alpha1.App, revision string) (*trouble, error) {
	if revision == "" || app.Annotations[v1alpha1.RevisionAnnotation] == revision {
		return nil, nil
	}
	if t := c.held(app, writingVersion); t != nil {
		return t, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             app.UID,
		"resourceVersion": app.ResourceVersion,
		"annotations":     map[string]string{v1alpha1.RevisionAnnotation: revision},
	}})
	if err != nil {
		return nil, err
	}
	patched, err := c.client.Apps(app.Namespace).Patch(ctx, app.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, err
	}
	c.writes.wrote(patched, c.clock.Now())
	difference := ""
	if got := patched.Annotations[v1alpha1.RevisionAnnotation]; got != revision {
		difference = fmt.Sprintf("metadata.annotations[%s] is %q, not %q", v1alpha1.RevisionAnnotation, got, revision)
	}
	return c.checkWritten(ctx, app, writingVersion, fmt.Sprintf("app %q", app.Name), difference), nil
}
