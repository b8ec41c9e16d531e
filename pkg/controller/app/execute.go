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
func (c *Controller) claim(ctx context.Context, app *v1alpha1.App, selector labels.Selector) ([]*v1alpha1.Release, error) {
	owned, err := of[*v1alpha1.Release](c.releases, byOwner, string(app.UID))
	if err != nil {
		return nil, err
	}
	free, err := of[*v1alpha1.Release](c.releases, orphans, app.Namespace)
	if err != nil {
		return nil, err
	}
	claims := adoption.Decide(app, selector, append(owned, free...))
	for _, release := range claims.Release {
		patch, err := adoption.ReleasePatch(app, release)
		if err != nil {
			return nil, err
		}
		if _, err := c.patchRelease(ctx, release, patch); err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	if len(claims.Adopt) == 0 {
		return claims.Mine, nil
	}
	// What the informer says may be old. An app that was deleted meanwhile must adopt nothing,
	// or what it adopts dies with it.
	fresh, err := c.client.Apps(app.Namespace).Get(ctx, app.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if fresh.UID != app.UID || fresh.DeletionTimestamp != nil {
		return nil, queue.Again{Why: "the app is being deleted, or is another one already"}
	}
	for _, release := range claims.Adopt {
		patch, err := adoption.AdoptPatch(app, kind(), release)
		if err != nil {
			return nil, err
		}
		adopted, err := c.patchRelease(ctx, release, patch)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		claims.Mine = append(claims.Mine, adopted)
	}
	return claims.Mine, nil
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
	for _, update := range plan.Update {
		release := update.Release
		if _, err := c.client.Releases(release.Namespace).Update(ctx, release, metav1.UpdateOptions{}); err != nil {
			return plan.Created, err
		}
		c.tellScaling(app, release, update.From)
	}
	for _, release := range plan.Delete {
		klog.FromContext(ctx).V(4).Info("Deleting an old release", "app", klog.KObj(app), "release", klog.KObj(release))
		err := c.client.Releases(release.Namespace).Delete(ctx, release.Name, metav1.DeleteOptions{
			// One that somebody gave instances meanwhile stays.
			Preconditions: &metav1.Preconditions{UID: &release.UID, ResourceVersion: &release.ResourceVersion},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return plan.Created, err
		}
	}
	return plan.Status, nil
}

func (c *Controller) tellScaling(app *v1alpha1.App, release *v1alpha1.Release, from int32) {
	direction := "up"
	switch to := size(release); {
	case to == from:
		return
	case to < from:
		direction = "down"
	}
	c.recorder.Eventf(app, corev1.EventTypeNormal, scalingReason, "scaled release %s %s from %d to %d", release.Name, direction, from, size(release))
}

// create makes the newest release. Its name may be taken: by itself, when the informer does
// not know of it yet, or by another whose template has the same hash. Then the next attempt
// has another hash.
func (c *Controller) create(ctx context.Context, app *v1alpha1.App, plan Plan) (v1alpha1.AppStatus, error) {
	releases, status := c.client.Releases(app.Namespace), plan.Begun
	_, err := releases.Create(ctx, plan.Create, metav1.CreateOptions{})
	switch {
	case err == nil:
		c.tellScaling(app, plan.Create, 0)
		return plan.Created, nil
	case apierrors.IsAlreadyExists(err):
		existing, err := releases.Get(ctx, plan.Create.Name, metav1.GetOptions{})
		if err != nil {
			return status, err
		}
		if !Collides(app, existing) {
			return status, queue.Again{Why: "the new release is there, but has not been seen yet"}
		}
		status.CollisionCount = ptr.To(ptr.Deref(status.CollisionCount, 0) + 1)
		return status, queue.Again{Why: fmt.Sprintf("release %s is another's", existing.Name)}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return status, err
	}
	message := fmt.Sprintf("release %q cannot be created: %v", plan.Create.Name, err)
	if HasProgressDeadline(app) {
		progressing(&status, metav1.ConditionFalse, ReleaseCreateErrorReason, message, metav1.NewTime(c.clock.Now()))
	}
	c.recorder.Event(app, corev1.EventTypeWarning, ReleaseCreateErrorReason, message)
	return status, err
}

// writeStatus returns the app as it is then.
func (c *Controller) writeStatus(ctx context.Context, app *v1alpha1.App, status v1alpha1.AppStatus) (*v1alpha1.App, error) {
	if apiequality.Semantic.DeepEqual(app.Status, status) {
		return app, nil
	}
	changed := app.DeepCopy()
	changed.Status = status
	return c.client.Apps(app.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
}

// writeRevision notes the newest release's number on the app. The status endpoint leaves
// metadata alone, so it is a write of its own, and comes last: as long as the number is not
// there, Decide knows that the app's status may speak of another release.
func (c *Controller) writeRevision(ctx context.Context, app *v1alpha1.App, revision string) error {
	if revision == "" || app.Annotations[v1alpha1.RevisionAnnotation] == revision {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             app.UID,
		"resourceVersion": app.ResourceVersion,
		"annotations":     map[string]string{v1alpha1.RevisionAnnotation: revision},
	}})
	if err != nil {
		return err
	}
	_, err = c.client.Apps(app.Namespace).Patch(ctx, app.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
