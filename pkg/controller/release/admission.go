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
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

// reasonChanged is the reason of events about a write with a result that differs from the request: a
// mutating policy or webhook changes it, and would do so again at once.
const reasonChanged = v1alpha1.ReasonChangedAtAdmission

// The backoff between writes that are changed at admission.
const (
	firstRewrite = 10 * time.Second
	lastRewrite  = 5 * time.Minute
)

// attempt is a kind of write for a release.
type attempt struct {
	release types.UID
	what    string
}

const (
	creating      = "create"
	adopting      = "adopt"
	releasing     = "let go"
	writingStatus = "status"
)

// changedAtAdmission is the error of a write that was changed, and is not retried before a time.
type changedAtAdmission struct {
	message string
	after   time.Duration
}

// Error implements error.
func (v *changedAtAdmission) Error() string { return v.message }

// checkWritten records the result of a write: as requested if difference is empty. Otherwise it
// returns an error.
func (c *Controller) checkWritten(ctx context.Context, release *v1alpha1.Release, what, object, difference string) error {
	key := attempt{release.UID, what}
	if difference == "" {
		c.rewrites.Forget(key)
		return nil
	}
	v := &changedAtAdmission{
		message: fmt.Sprintf("%s came back from the server changed: %s; exempt it from the mutating policy or webhook that does so", object, difference),
		after:   c.rewrites.Failed(key),
	}
	klog.FromContext(ctx).V(2).Info("Write was changed at admission, retrying later", "release", klog.KObj(release), "what", what, "difference", difference, "after", v.after)
	c.events.Event(release, corev1.EventTypeWarning, reasonChanged, v.message)
	return v
}

// MadeDiffers returns what keeps a release from counting an instance that it created; empty if the
// release counts it, or will when it has adopted it.
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

// mayCreate returns an error if no instance may be created now: the last one was changed at
// admission so that the release could not count it. After the backoff a dry run checks whether
// the next one would be, too.
func (c *Controller) mayCreate(ctx context.Context, release *v1alpha1.Release, selector labels.Selector) error {
	left, tried := c.rewrites.Left(attempt{release.UID, creating})
	switch {
	case left > 0:
		return &changedAtAdmission{"instances come back from the server changed", left}
	case !tried:
		return nil
	}
	made, err := c.client.FleetV1alpha1().Instances(release.Namespace).Create(ctx, NewInstance(release), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	return c.checkWritten(ctx, release, creating, "an instance of the release", MadeDiffers(release, selector, made))
}

// deleteUncounted deletes an instance that was changed at admission so that its release does not
// count it: the release would create another one, without end.
func (c *Controller) deleteUncounted(ctx context.Context, release *v1alpha1.Release, made *v1alpha1.Instance, difference string) error {
	err := c.client.FleetV1alpha1().Instances(made.Namespace).Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(made.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		klog.FromContext(ctx).V(2).Info("Deleting an instance failed that its release cannot count", "instance", klog.KObj(made), "err", err)
	}
	return c.checkWritten(ctx, release, creating, "an instance of the release", difference)
}

// patched checks the result of a write of owner references: owned is whether the release should be
// the controller now.
func (c *Controller) patched(ctx context.Context, release *v1alpha1.Release, what string, i *v1alpha1.Instance, owned bool) error {
	difference := ""
	switch is := metav1.IsControlledBy(i, release); {
	case owned && !is:
		difference = fmt.Sprintf("metadata.ownerReferences do not name release %q as the controller", release.Name)
	case !owned && is:
		difference = fmt.Sprintf("metadata.ownerReferences still name release %q", release.Name)
	}
	return c.checkWritten(ctx, release, what, "instance "+i.Name, difference)
}

// sameOnTheWire reports whether two values have the same JSON, in which times are whole seconds.
func sameOnTheWire(a, b any) bool {
	first, err := json.Marshal(a)
	if err != nil {
		return false
	}
	second, err := json.Marshal(b)
	return err == nil && string(first) == string(second)
}

// refusal returns the event message of a refused creation. It omits the generated name of the
// instance, which differs each time, so that equal events are counted in one.
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
