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

package event

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of events.
type Storage struct{ Event *base.Store }

// NewStorage builds the storage of events, which are removed ttl after the last write.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, ttl time.Duration) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:         core.Resource("events"),
		Singular:         core.Resource("event"),
		ShortNames:       []string{"ev"},
		Versions:         []schema.GroupVersion{corev1.SchemeGroupVersion},
		New:              func() runtime.Object { return &corev1.Event{} },
		NewList:          func() runtime.Object { return &corev1.EventList{} },
		Strategy:         strategy{base.NewBuiltinStrategy(scheme, true, base.UnconditionalUpdate, base.CreateByPut)},
		SelectableFields: selectableFields,
		TTL:              ttl,
		Table: base.Table(
			base.Column[*corev1.Event]{Name: "Last Seen", Description: "Time since the event last occurred.", Value: func(e *corev1.Event) any { return lastSeen(e) }},
			base.Column[*corev1.Event]{Name: "Type", Description: "Type of the event: Normal or Warning.", Value: func(e *corev1.Event) any { return e.Type }},
			base.Column[*corev1.Event]{Name: "Reason", Description: "Reason of the event, in one word.", Value: func(e *corev1.Event) any { return e.Reason }},
			base.Column[*corev1.Event]{Name: "Object", Description: "Object that the event is about.", Value: target},
			base.Column[*corev1.Event]{Name: "Subobject", Wide: true, Description: "Part of the object that the event is about.", Value: func(e *corev1.Event) any { return e.InvolvedObject.FieldPath }},
			base.Column[*corev1.Event]{Name: "Source", Wide: true, Description: "Component that reported the event.", Value: source},
			base.Column[*corev1.Event]{Name: "Message", Description: "Description of the event.", Value: func(e *corev1.Event) any { return strings.TrimSpace(e.Message) }},
			base.Column[*corev1.Event]{Name: "First Seen", Wide: true, Description: "Time since the event first occurred.", Value: func(e *corev1.Event) any { return firstSeen(e) }},
			base.Column[*corev1.Event]{Name: "Count", Type: "integer", Wide: true, Description: "Number of occurrences of the event.", Value: count},
			wideName(),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}

// wideName returns the column of the name, which is the last one of events in kubectl: event names
// are generated.
func wideName() base.Column[*corev1.Event] {
	column := base.NameColumn[*corev1.Event]()
	column.Wide = true
	return column
}

// selectableFields must name the same fields as core.EventFields.
func selectableFields(obj runtime.Object, set fields.Set) error {
	event := obj.(*corev1.Event)
	involved := event.InvolvedObject
	set["involvedObject.kind"] = involved.Kind
	set["involvedObject.namespace"] = involved.Namespace
	set["involvedObject.name"] = involved.Name
	set["involvedObject.uid"] = string(involved.UID)
	set["involvedObject.apiVersion"] = involved.APIVersion
	set["involvedObject.resourceVersion"] = involved.ResourceVersion
	set["involvedObject.fieldPath"] = involved.FieldPath
	set["reason"] = event.Reason
	set["reportingComponent"] = event.ReportingController
	set["source"] = firstOf(event.Source.Component, event.ReportingController)
	set["type"] = event.Type
	return nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// firstSeen returns the time of either API version.
func firstSeen(event *corev1.Event) string {
	if event.FirstTimestamp.IsZero() {
		return base.Ago(metav1.NewTime(event.EventTime.Time))
	}
	return base.Ago(event.FirstTimestamp)
}

func lastSeen(event *corev1.Event) string {
	switch {
	case event.Series != nil:
		return base.Ago(metav1.NewTime(event.Series.LastObservedTime.Time))
	case !event.LastTimestamp.IsZero():
		return base.Ago(event.LastTimestamp)
	}
	return firstSeen(event)
}

// count returns 1 without a count: events.k8s.io/v1 does not count single events.
func count(event *corev1.Event) any {
	if event.Series != nil {
		return int64(event.Series.Count)
	}
	return int64(max(event.Count, 1))
}

func target(event *corev1.Event) any {
	kind := strings.ToLower(event.InvolvedObject.Kind)
	if event.InvolvedObject.Name == "" {
		return kind
	}
	return kind + "/" + event.InvolvedObject.Name
}

func source(event *corev1.Event) any {
	component := firstOf(event.Source.Component, event.ReportingController)
	if instance := firstOf(event.Source.Host, event.ReportingInstance); instance != "" {
		return component + ", " + instance
	}
	return component
}
