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

package base

import (
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Types of conditions from which tools compute the status of any object
// (sigs.k8s.io/cli-utils/pkg/kstatus).
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
)

// AwaitingController returns the conditions of a new object that the named controller has not
// reconciled yet. Without them tools would consider the object ready: it would have no conditions,
// and no observedGeneration that is behind.
func AwaitingController(controller string) []metav1.Condition {
	message := "the " + controller + " has not reconciled it yet"
	return []metav1.Condition{
		newCondition(ConditionReady, metav1.ConditionFalse, "Created", message),
		newCondition(ConditionReconciling, metav1.ConditionTrue, "Created", message),
		newCondition(ConditionStalled, metav1.ConditionFalse, "AsExpected", ""),
	}
}

// NotReady returns the condition Ready of a new object, with the status False or Unknown.
func NotReady(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{newCondition(ConditionReady, status, reason, message)}
}

func newCondition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 1, LastTransitionTime: metav1.Now()}
}

// StatusColumn returns the column of the condition Ready: Ready, or the reason for another status,
// such as ImagePullBackOff. Of an object that has changed since it was Ready, it shows Reconciling.
func StatusColumn[T runtime.Object](conditions func(T) []metav1.Condition) Column[T] {
	return Column[T]{Name: "Status", Description: "Ready, or the reason why the object is not ready.", Value: func(o T) any { return statusOf(o, conditions(o)) }}
}

func statusOf(object runtime.Object, conditions []metav1.Condition) string {
	ready := apimeta.FindStatusCondition(conditions, ConditionReady)
	switch {
	case ready == nil:
		return string(metav1.ConditionUnknown)
	case ready.Status != metav1.ConditionTrue:
		return ready.Reason
	}
	// A client that does not set the generation of conditions claims nothing about it.
	if metadata, err := apimeta.Accessor(object); err == nil && ready.ObservedGeneration != 0 && ready.ObservedGeneration != metadata.GetGeneration() {
		return ConditionReconciling
	}
	return ConditionReady
}
