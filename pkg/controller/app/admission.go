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
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

// ChangedReason is the reason of events, and of the conditions Ready and Stalled, of an app if a
// mutating policy or webhook changes what the controller writes for it. Writing it again at once
// would have it changed again, without end.
const ChangedReason = v1alpha1.ReasonChangedAtAdmission

// The backoff between writes that are changed at admission.
const (
	firstRewrite = 10 * time.Second
	lastRewrite  = 5 * time.Minute
)

// attempt is a write for an app with its current spec. A change of the spec is another attempt, and
// not delayed.
type attempt struct {
	app        types.UID
	generation int64
	// what is the name of a release, or one of the constants below, which are not valid names.
	what string
}

const (
	creating       = "(create)"
	writingStatus  = "(status)"
	writingVersion = "(revision)"
)

// anyRelease is the object of an attempt to create a release. Messages do not contain the name, which
// differs between the creation and the probes after it: their events combine.
const anyRelease = "a release of the app"

func attemptOf(app *v1alpha1.App, what string) attempt {
	return attempt{app.UID, app.Generation, what}
}

// trouble is a failure that an immediate retry does not cure.
type trouble struct {
	reason, message string
	after           time.Duration
}

// Error implements error.
func (t *trouble) Error() string { return t.message }

// sooner returns the one of two troubles that is retried first; each may be nil.
func sooner(a, b *trouble) *trouble {
	if a == nil || b != nil && b.after < a.after {
		return b
	}
	return a
}

// held returns the trouble of an attempt that is backing off; nil if it may be made.
func (c *Controller) held(app *v1alpha1.App, what string) *trouble {
	left, _ := c.rewrites.Left(attemptOf(app, what))
	if left == 0 {
		return nil
	}
	message := "admission changes what the controller writes"
	if reported := health.MessageOf(app.Status.Conditions, v1alpha1.AppConditionStalled, ChangedReason); reported != "" {
		message = reported
	}
	return &trouble{ChangedReason, message, left}
}

// checkWritten records the result of a write: as requested if difference is empty. That does not
// reset the backoff, which expires by time: admission that returns another value with each write
// returns the right one by chance, and would be retried at the shortest delay forever.
func (c *Controller) checkWritten(ctx context.Context, app *v1alpha1.App, what, object, difference string) *trouble {
	if difference == "" {
		return nil
	}
	t := &trouble{
		reason:  ChangedReason,
		message: fmt.Sprintf("%s came back from the server changed: %s; exempt it from the mutating policy or webhook that does so, or change the app to what that makes of it", object, difference),
		after:   c.rewrites.Failed(attemptOf(app, what)),
	}
	klog.FromContext(ctx).V(2).Info("Write was changed at admission, retrying later", "app", klog.KObj(app), "object", object, "difference", difference, "after", t.after)
	c.recorder.Event(app, corev1.EventTypeWarning, ChangedReason, t.message)
	return t
}

// CreatedDiffers returns what keeps an app from finding a created release that differs from the
// request; empty if the app finds it as its newest.
func CreatedDiffers(app *v1alpha1.App, asked, got *v1alpha1.Release) string {
	selector, err := metav1.LabelSelectorAsSelector(app.Spec.Selector)
	switch {
	case got.Name != asked.Name:
		return fmt.Sprintf("metadata.name is %q, not %q", got.Name, asked.Name)
	case err == nil && !selector.Matches(labels.Set(got.Labels)):
		return fmt.Sprintf("metadata.labels are %q, which the selector %q of the app does not match", labels.FormatLabels(got.Labels), metav1.FormatLabelSelector(app.Spec.Selector))
	case metav1.GetControllerOfNoCopy(got) != nil && !metav1.IsControlledBy(got, app):
		return fmt.Sprintf("metadata.ownerReferences name %q as the controller", metav1.GetControllerOfNoCopy(got).Name)
	case EqualIgnoreHash(&got.Spec.Template, &app.Spec.Template):
		return ""
	}
	return "spec.template" + differenceOf(withoutHash(&app.Spec.Template), withoutHash(&got.Spec.Template))
}

// UpdatedDiffers returns what differs between a requested and the stored release, of the fields that
// the controller would write again.
func UpdatedDiffers(asked, got *v1alpha1.Release) string {
	switch {
	case size(got) != size(asked):
		return fmt.Sprintf("spec.replicas is %d, not %d", size(got), size(asked))
	case got.Spec.MinReadySeconds != asked.Spec.MinReadySeconds:
		return fmt.Sprintf("spec.minReadySeconds is %d, not %d", got.Spec.MinReadySeconds, asked.Spec.MinReadySeconds)
	}
	for _, annotation := range slices.Sorted(maps.Keys(asked.Annotations)) {
		if value := got.Annotations[annotation]; value != asked.Annotations[annotation] {
			return fmt.Sprintf("metadata.annotations[%s] is %q, not %q", annotation, value, asked.Annotations[annotation])
		}
	}
	return ""
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

// differenceOf returns the path and the values of the first field, in the order of names, in which
// the JSON of two objects differs.
func differenceOf(asked, got any) string {
	return firstDifference(generic(asked), generic(got))
}

func generic(object any) any {
	encoded, err := json.Marshal(object)
	if err != nil {
		return nil
	}
	var decoded any
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil
	}
	return decoded
}

func firstDifference(asked, got any) string {
	first, isMap := asked.(map[string]any)
	second, alsoMap := got.(map[string]any)
	if isMap && alsoMap {
		keys := maps.Clone(first)
		maps.Copy(keys, second)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if !sameOnTheWire(first[key], second[key]) {
				return "." + key + firstDifference(first[key], second[key])
			}
		}
		return " differs"
	}
	list, isList := asked.([]any)
	other, alsoList := got.([]any)
	if isList && alsoList && len(list) == len(other) {
		for i := range list {
			if !sameOnTheWire(list[i], other[i]) {
				return fmt.Sprintf("[%d]", i) + firstDifference(list[i], other[i])
			}
		}
	}
	return fmt.Sprintf(" is %s, not %s", word(got), word(asked))
}

// longestWord bounds the length of a value in a message, in bytes.
const longestWord = 80

func word(value any) string {
	if value == nil {
		return "absent"
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return "unreadable"
	}
	if len(encoded) > longestWord {
		return strings.ToValidUTF8(string(encoded[:longestWord]), "") + "..."
	}
	return string(encoded)
}

// probe creates the app's next release in a dry run, and returns how the result would differ. The
// release has the name that follows one more collision, because its current name may be taken.
func (c *Controller) probe(ctx context.Context, app *v1alpha1.App, old []*v1alpha1.Release) (difference string, err error) {
	next := app.DeepCopy()
	next.Status.CollisionCount = ptr.To(ptr.Deref(app.Status.CollisionCount, 0) + 1)
	release, err := NewRelease(next, old)
	if err != nil {
		return "", err
	}
	made, err := c.client.Releases(app.Namespace).Create(ctx, release, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", err
	}
	return CreatedDiffers(app, release, made), nil
}
