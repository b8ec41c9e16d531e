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
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/health"
)

// reasonChanged is the reason of events about something that came back changed after it was
// written: a mutating policy or webhook does so, and would do it again at once.
const reasonChanged = "ChangedAtAdmission"

// The times between two writes that came back changed.
const (
	firstVainWrite = 10 * time.Second
	lastVainWrite  = 5 * time.Minute
)

// attempt is a kind of write for a release.
type attempt struct {
	release types.UID
	what    string
}

const (
	creating      = "create"
	adopting      = "adopt"
	lettingGo     = "let go"
	writingStatus = "status"
)

// vain is a failure that is not tried again before a time.
type vain struct {
	message string
	after   time.Duration
}

// Error implements error.
func (v *vain) Error() string { return v.message }

// cameBack records how a write came back: as it was asked for, where difference is empty.
// Otherwise it returns the failure.
func (c *Controller) cameBack(ctx context.Context, release *v1alpha1.Release, what, object, difference string) error {
	key := attempt{release.UID, what}
	if difference == "" {
		c.vain.Forget(key)
		return nil
	}
	v := &vain{
		message: fmt.Sprintf("%s came back from the server changed: %s; exempt it from the mutating policy or webhook that does so", object, difference),
		after:   c.vain.Failed(key),
	}
	klog.FromContext(ctx).V(2).Info("A write came back changed, again later", "release", klog.KObj(release), "what", what, "difference", difference, "after", v.after)
	c.events.Event(release, corev1.EventTypeWarning, reasonChanged, v.message)
	return v
}

// MadeDiffers names what of an instance that was made keeps its release from counting it; empty
// where it counts, or will once the release has adopted it.
func MadeDiffers(release *v1alpha1.Release, selector labels.Selector, made *v1alpha1.Instance) string {
	controller := metav1.GetControllerOfNoCopy(made)
	switch {
	case !selector.Matches(labels.Set(made.Labels)):
		return fmt.Sprintf("metadata.labels are %q, which the selector %q of the release does not match", labels.FormatLabels(made.Labels), selector.String())
	case controller != nil && controller.UID != release.UID:
		return fmt.Sprintf("metadata.ownerReferences name %q as the controller", controller.Name)
	}
	return ""
}

// mayCreate says, by a failure, that no instance is to be made now: the last one came back so
// that the release could not count it. When its time has come a dry run finds out whether
// another would.
func (c *Controller) mayCreate(ctx context.Context, release *v1alpha1.Release, selector labels.Selector) error {
	left, tried := c.vain.Left(attempt{release.UID, creating})
	switch {
	case left > 0:
		return &vain{"instances come back from the server changed", left}
	case !tried:
		return nil
	}
	made, err := c.client.FleetV1alpha1().Instances(release.Namespace).Create(ctx, NewInstance(release), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	return c.cameBack(ctx, release, creating, "an instance of the release", MadeDiffers(release, selector, made))
}

// cannotCount deletes an instance that was made and came back so that its release does not count
// it: it would be made again, and again.
func (c *Controller) cannotCount(ctx context.Context, release *v1alpha1.Release, made *v1alpha1.Instance, difference string) error {
	err := c.client.FleetV1alpha1().Instances(made.Namespace).Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(made.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		klog.FromContext(ctx).V(2).Info("An instance that its release cannot count is left behind", "instance", klog.KObj(made), "err", err)
	}
	return c.cameBack(ctx, release, creating, "an instance of the release", difference)
}

// patched records how a write about the owner of an instance came back: owned says whether the
// release should be its controller now.
func (c *Controller) patched(ctx context.Context, release *v1alpha1.Release, what string, i *v1alpha1.Instance, owned bool) error {
	difference := ""
	switch is := metav1.IsControlledBy(i, release); {
	case owned && !is:
		difference = fmt.Sprintf("metadata.ownerReferences do not name release %q as the controller", release.Name)
	case !owned && is:
		difference = fmt.Sprintf("metadata.ownerReferences still name release %q", release.Name)
	}
	return c.cameBack(ctx, release, what, "instance "+i.Name, difference)
}

// sameOnTheWire reports whether two values are written alike. Times have whole seconds there.
func sameOnTheWire(a, b any) bool {
	first, err := json.Marshal(a)
	if err != nil {
		return false
	}
	second, err := json.Marshal(b)
	return err == nil && string(first) == string(second)
}

// refusal is what an event says of a creation that was refused. The name that the server gave
// the instance is left out: it is another each time, and like events are counted in one.
func refusal(release *v1alpha1.Release, err error) string {
	message := err.Error()
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		if name := status.Status().Details.Name; strings.HasPrefix(name, release.Name+"-") {
			message = strings.ReplaceAll(message, name, release.Name+"-*")
		}
	}
	return health.Cut("Creating an instance failed: " + message)
}
