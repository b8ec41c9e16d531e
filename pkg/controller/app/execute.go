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
	"github.com/gatehouse-dev/gatehouse/pkg/controller/adoption"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/queue"
)

// Reasons of events.
const (
	// scalingReason: a release was given another size.
	scalingReason = "ScalingRelease"
)

// claim takes the releases that the selector chooses and that are nobody's, lets go of those
// that it no longer chooses, and returns what the app has then.
func (c *Controller) claim(ctx context.Context, app *v1alpha1.App, selector labels.Selector) ([]*v1alpha1.Release, *trouble, error) {
	owned, err := of[*v1alpha1.Release](c.releases, byOwner, string(app.UID))
	if err != nil {
		return nil, nil, err
	}
	free, err := of[*v1alpha1.Release](c.releases, orphans, app.Namespace)
	if err != nil {
		return nil, nil, err
	}
	claims := adoption.Decide(app, selector, append(owned, free...))
	var vainly *trouble
	for _, release := range claims.Release {
		if t := c.held(app, release.Name); t != nil {
			vainly = sooner(vainly, t)
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
		vainly = sooner(vainly, c.cameBack(ctx, app, release.Name, fmt.Sprintf("release %q", release.Name), difference))
	}
	adopted, t, err := c.adopt(ctx, app, claims.Adopt)
	return append(claims.Mine, adopted...), sooner(vainly, t), err
}

// adopt makes the app the controller of releases that are nobody's. One that cannot be adopted,
// because the write comes back changed, is the app's nevertheless.
func (c *Controller) adopt(ctx context.Context, app *v1alpha1.App, releases []*v1alpha1.Release) (mine []*v1alpha1.Release, vainly *trouble, err error) {
	var tried []*v1alpha1.Release
	for _, release := range releases {
		if t := c.held(app, release.Name); t != nil {
			mine, vainly = append(mine, release), sooner(vainly, t)
			continue
		}
		tried = append(tried, release)
	}
	if len(tried) == 0 {
		return mine, vainly, nil
	}
	// What the informer says may be old. An app that was deleted meanwhile must adopt nothing,
	// or what it adopts dies with it.
	fresh, err := c.client.Apps(app.Namespace).Get(ctx, app.Name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	if fresh.UID != app.UID || fresh.DeletionTimestamp != nil {
		return nil, nil, queue.Again{Why: "the app is being deleted, or is another one already"}
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
		vainly = sooner(vainly, c.cameBack(ctx, app, release.Name, fmt.Sprintf("release %q", release.Name), difference))
		mine = append(mine, adopted)
	}
	return mine, vainly, nil
}

func (c *Controller) patchRelease(ctx context.Context, release *v1alpha1.Release, patch []byte) (*v1alpha1.Release, error) {
	return c.client.Releases(release.Namespace).Patch(ctx, release.Name, types.MergePatchType, patch, metav1.PatchOptions{})
}

// execute does what the plan says, and returns the status that the app has then. After a
// failure that is what is true nevertheless; the rest is decided anew.
func (c *Controller) execute(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	if plan.Create != nil {
		if status, err := c.create(ctx, app, plan); err != nil {
			return status, err
		}
	}
	var vainly *trouble
	for _, update := range plan.Update {
		release := update.Release
		if t := c.held(app, release.Name); t != nil {
			vainly = sooner(vainly, t)
			continue
		}
		updated, err := c.client.Releases(release.Namespace).Update(ctx, release, metav1.UpdateOptions{})
		if err != nil {
			return plan.Created, err
		}
		vainly = sooner(vainly, c.cameBack(ctx, app, release.Name, fmt.Sprintf("release %q", release.Name), UpdatedDiffers(release, updated)))
		c.tellScaling(ctx, app, updated, update.From)
	}
	for _, release := range plan.Delete {
		klog.FromContext(ctx).V(2).Info("Deleting an old release", "app", klog.KObj(app), "release", klog.KObj(release))
		err := c.client.Releases(release.Namespace).Delete(ctx, release.Name, metav1.DeleteOptions{
			// One that somebody gave instances meanwhile stays.
			Preconditions: &metav1.Preconditions{UID: &release.UID, ResourceVersion: &release.ResourceVersion},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return plan.Created, err
		}
	}
	if vainly != nil {
		return plan.Status, vainly
	}
	return plan.Status, nil
}

func (c *Controller) tellScaling(ctx context.Context, app *v1alpha1.App, release *v1alpha1.Release, from int32) {
	direction := "up"
	switch to := size(release); {
	case to == from:
		return
	case to < from:
		direction = "down"
	}
	klog.FromContext(ctx).V(2).Info("Scaled a release", "app", klog.KObj(app), "release", klog.KObj(release), "from", from, "to", size(release))
	c.recorder.Eventf(app, corev1.EventTypeNormal, scalingReason, "scaled release %s %s from %d to %d", release.Name, direction, from, size(release))
}

// create makes the newest release. Its name may be taken: by itself, when the informer does
// not know of it yet, or by another whose template has the same hash. Then the next attempt
// has another hash. A release that comes back changed, so that the app would not find it again,
// is not created once more before a dry run comes back as it was asked for.
func (c *Controller) create(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	if t := c.held(app, creating); t != nil {
		return c.withoutNewest(app, plan), t
	}
	if _, vain := c.vain.Left(attemptOf(app, creating)); vain {
		if err := c.wouldComeBack(ctx, app, plan); err != nil {
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
	c.tellScaling(ctx, app, made, 0)
	if t := c.cameBack(ctx, app, creating, anyRelease, CreatedDiffers(app, plan.Create, made)); t != nil {
		return c.withoutNewest(app, plan), t
	}
	return plan.Created, nil
}

// wouldComeBack returns a trouble where the next release would come back changed.
func (c *Controller) wouldComeBack(ctx context.Context, app *v1alpha1.App, plan Plan) error {
	difference, err := c.probe(ctx, app, plan.Old)
	if apierrors.IsAlreadyExists(err) {
		return nil // so the name is: nameTaken deals with that
	}
	if err != nil {
		return err
	}
	if t := c.cameBack(ctx, app, creating, anyRelease, difference); t != nil {
		return t
	}
	return nil
}

// nameTaken finds out by what the name of the newest release is taken.
func (c *Controller) nameTaken(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	status := plan.Begun
	existing, err := c.client.Releases(app.Namespace).Get(ctx, plan.Create.Name, metav1.GetOptions{})
	if err != nil {
		return status, err
	}
	if !Collides(app, existing) {
		return status, queue.Again{Why: "the new release is there, but has not been seen yet"}
	}
	// It may be the release that was made before and came back changed, and not a collision.
	if err := c.wouldComeBack(ctx, app, plan); err != nil {
		return c.createFailed(app, plan, err)
	}
	status.CollisionCount = ptr.To(ptr.Deref(status.CollisionCount, 0) + 1)
	return status, queue.Again{Why: fmt.Sprintf("release %s is another's", existing.Name)}
}

// withoutNewest is the status of an app that has no release of its newest version and gets none
// now: what there is counts as old.
func (c *Controller) withoutNewest(app *v1alpha1.App, plan Plan) v1alpha1.AppStatus {
	begun := app.DeepCopy()
	begun.Status = plan.Begun
	return SizeStatus(begun, plan.Old, nil, metav1.NewTime(c.clock.Now()))
}

// createFailed says of an app that its newest release cannot be created.
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

// writeStatus returns the app as it is then.
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
	difference := ""
	if !sameOnTheWire(status, written.Status) {
		difference = "status" + differenceOf(status, written.Status)
	}
	return written, c.cameBack(ctx, app, writingStatus, fmt.Sprintf("app %q", app.Name), difference), nil
}

// writeRevision notes the newest release's number on the app. The status endpoint leaves
// metadata alone, so it is a write of its own, and comes last: as long as the number is not
// there, Decide knows that the app's status may speak of another release.
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
	difference := ""
	if got := patched.Annotations[v1alpha1.RevisionAnnotation]; got != revision {
		difference = fmt.Sprintf("metadata.annotations[%s] is %q, not %q", v1alpha1.RevisionAnnotation, got, revision)
	}
	return c.cameBack(ctx, app, writingVersion, fmt.Sprintf("app %q", app.Name), difference), nil
}
