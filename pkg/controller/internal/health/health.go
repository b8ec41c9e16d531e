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

// Package health sets the conditions Ready, Reconciling and Stalled, as kstatus
// (sigs.k8s.io/cli-utils/pkg/kstatus) reads them. Helm, Flux, kapp and kubectl wait use these. Read
// Set. Waiting returns what keeps an instance from being ready, so that apps and releases report
// the same.
package health

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// State is the health of an object.
type State int

const (
	// Ready: the object is in its desired state.
	Ready State = iota
	// Reconciling: it is expected to become ready.
	Reconciling
	// Stalled: it will not become ready unless something is changed.
	Stalled
	// Suspended: it is paused.
	Suspended
)

// Verdict is a state and its cause.
type Verdict struct {
	State State
	// Reason is a CamelCase word.
	Reason string
	// Message is the same as a sentence.
	Message string
	// Cause is the reason of the condition Ready if that differs: the underlying cause.
	Cause string
}

// asExpected is the reason of conditions that are False and should be.
const asExpected = "AsExpected"

// types are the conditions that this package sets, in the order in which new ones are added.
var types = []string{v1alpha1.AppConditionReady, v1alpha1.AppConditionReconciling, v1alpha1.AppConditionStalled}

// Set sets the three conditions to the verdict. Transition times change with the status of a
// condition only, and the generation is that of the object of the verdict. It may modify the slice.
func Set(conditions []metav1.Condition, v Verdict, generation int64, now metav1.Time) []metav1.Condition {
	for _, kind := range types {
		condition := metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: asExpected, ObservedGeneration: generation, LastTransitionTime: now,
		}
		switch {
		case kind == v1alpha1.AppConditionReady:
			condition.Reason, condition.Message = cmp.Or(v.Cause, v.Reason), v.Message
			if v.State == Ready {
				condition.Status = metav1.ConditionTrue
			}
		case kind == v1alpha1.AppConditionReconciling && v.State == Reconciling, kind == v1alpha1.AppConditionStalled && v.State == Stalled:
			condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v.Reason, v.Message
		}
		meta.SetStatusCondition(&conditions, condition)
	}
	return conditions
}

// reasonPattern is the API's pattern of a condition's reason.
var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// longestReason and longestCause bound what is copied from an agent's status.
const (
	longestReason = 64
	longestCause  = 512
)

// ReasonOr returns the reason if it is valid for a condition, and otherwise the other one.
func ReasonOr(reason, otherwise string) string {
	if len(reason) > longestReason || !reasonPattern.MatchString(reason) {
		return otherwise
	}
	return reason
}

// Waiting returns what keeps an instance from being ready, or ended it: the reason of its status, of a
// container that waits or has ended, or of the condition Scheduled. Empty if there is none yet.
func Waiting(i *v1alpha1.Instance) (reason, message string) {
	if i.Status.Reason != "" {
		return i.Status.Reason, i.Status.Message
	}
	for _, c := range i.Status.ContainerStatuses {
		switch state := c.State; {
		case state.Waiting != nil && state.Waiting.Reason != "" && state.Waiting.Reason != "ContainerCreating":
			return state.Waiting.Reason, state.Waiting.Message
		case state.Terminated != nil && (state.Terminated.ExitCode != 0 || state.Terminated.Signal != 0):
			return cmp.Or(state.Terminated.Reason, "Error"), cmp.Or(state.Terminated.Message, fmt.Sprintf("exit code %d", state.Terminated.ExitCode))
		}
	}
	if scheduled := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.InstanceConditionScheduled); scheduled != nil && scheduled.Status == metav1.ConditionFalse {
		return scheduled.Reason, scheduled.Message
	}
	return "", ""
}

// First returns what keeps the first of the instances with a known reason from being ready, with the
// name of that instance. The order is by age and name, so that the result is stable.
func First(instances []*v1alpha1.Instance, ready func(*v1alpha1.Instance) bool) (reason, message string) {
	var first *v1alpha1.Instance
	for _, i := range instances {
		if ready(i) || (first != nil && compare(i, first) > 0) {
			continue
		}
		if why, what := Waiting(i); why != "" {
			first, reason, message = i, why, what
		}
	}
	if first == nil {
		return "", ""
	}
	text := fmt.Sprintf("instance %s: %s", first.Name, reason)
	if message != "" {
		text += ": " + message
	}
	return reason, Cut(text)
}

func compare(a, b *v1alpha1.Instance) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// Cut truncates a cause to its bound, at a character boundary.
func Cut(text string) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) <= longestCause {
		return text
	}
	end := longestCause
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// MessageOf returns the message of a condition that is True with the reason; empty if it is not.
func MessageOf(conditions []metav1.Condition, kind, reason string) string {
	if c := meta.FindStatusCondition(conditions, kind); c != nil && c.Status == metav1.ConditionTrue && c.Reason == reason {
		return c.Message
	}
	return ""
}
