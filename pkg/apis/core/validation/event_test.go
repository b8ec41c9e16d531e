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

package validation

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", maxEventMessage+1)
	old := func(change func(*corev1.Event)) *corev1.Event {
		e := &corev1.Event{ObjectMeta: named, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}
		change(e)
		return e
	}
	current := func(change func(*corev1.Event)) *corev1.Event {
		e := old(func(e *corev1.Event) {
			e.EventTime = metav1.NewMicroTime(time.Unix(1, 0))
			e.ReportingController, e.ReportingInstance, e.Action, e.Reason, e.Type = "example.com/c", "c-1", "Start", "Started", "Normal"
		})
		change(e)
		return e
	}
	core, events := corev1.SchemeGroupVersion, eventsv1.SchemeGroupVersion
	for name, test := range map[string]struct {
		event   *corev1.Event
		version schema.GroupVersion
		want    []string
	}{
		"an old one says hardly anything":               {old(func(*corev1.Event) {}), core, nil},
		"an old one lies where its object does":         {old(func(e *corev1.Event) { e.InvolvedObject.Namespace = "b" }), core, []string{invalid + "involvedObject.namespace"}},
		"an old one of what has no namespace":           {old(func(e *corev1.Event) { e.InvolvedObject.Namespace = "" }), core, nil},
		"an old one of what has no namespace elsewhere": {old(func(e *corev1.Event) { e.InvolvedObject.Namespace, e.Namespace = "", "b" }), core, []string{invalid + "involvedObject.namespace"}},
		"a current one":                                    {current(func(*corev1.Event) {}), events, nil},
		"a current one of what has no namespace":           {current(func(e *corev1.Event) { e.InvolvedObject.Namespace, e.Namespace = "", "kube-system" }), events, nil},
		"a current one of what has no namespace elsewhere": {current(func(e *corev1.Event) { e.InvolvedObject.Namespace, e.Namespace = "", "b" }), events, []string{invalid + "involvedObject.namespace"}},
		"a current one says who, what and why": {
			current(func(e *corev1.Event) {
				e.ReportingController, e.ReportingInstance, e.Action, e.Reason = "", "", "", ""
			}), events,
			[]string{required + "reportingController", invalid + "reportingController", required + "reportingInstance", required + "action", required + "reason"},
		},
		"core/v1 has another name for who reports": {
			current(func(e *corev1.Event) { e.ReportingController = "a b" }), core, []string{invalid + "reportingComponent"},
		},
		"a current one is short": {
			current(func(e *corev1.Event) {
				e.ReportingInstance, e.Action, e.Reason, e.Message = long, long, long, long
			}), events,
			[]string{invalid + "reportingInstance", invalid + "action", invalid + "reason", invalid + "message"},
		},
		"an old one is short, too": {
			old(func(e *corev1.Event) {
				e.ReportingController, e.ReportingInstance, e.Action, e.Reason, e.Type, e.Message = long, long, long, long, long, long
				e.Source = corev1.EventSource{Component: long, Host: long}
			}), core,
			[]string{invalid + "reportingComponent", invalid + "reportingInstance", invalid + "action", invalid + "reason", invalid + "type", invalid + "source.component", invalid + "source.host", invalid + "message"},
		},
		"an old one has a message of events.k8s.io's length": {old(func(e *corev1.Event) { e.Message = long[1:] }), core, nil},
		"references and annotations do not make it larger": {
			old(func(e *corev1.Event) {
				e.InvolvedObject.FieldPath = strings.Repeat(long, 2)
				e.Annotations = map[string]string{"a": strings.Repeat(long, 2)}
			}), core, []string{invalid + "<nil>"},
		},
		"what is known of the fields' owners does not count": {
			old(func(e *corev1.Event) {
				e.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(strings.Repeat(long, 8))}}
			}), core, nil,
		},
		"events.k8s.io asks when":                     {old(func(e *corev1.Event) { e.Type = "Normal" }), events, []string{required + "eventTime"}},
		"events.k8s.io asks for a type that is known": {current(func(e *corev1.Event) { e.Type = "Odd" }), events, []string{invalid + "type"}},
		"core/v1 takes any type":                      {current(func(e *corev1.Event) { e.Type = "Odd" }), core, nil},
		"a series has two or more, and a time":        {current(func(e *corev1.Event) { e.Series = &corev1.EventSeries{Count: 1} }), events, []string{invalid + "series.count", required + "series.lastObservedTime"}},
		"events.k8s.io takes nothing of what core/v1 said": {current(func(e *corev1.Event) {
			e.Count, e.Source.Host, e.FirstTimestamp, e.LastTimestamp = 1, "h", metav1.Unix(1, 0), metav1.Unix(1, 0)
		}), events, []string{invalid + "count", invalid + "source", invalid + "firstTimestamp", invalid + "lastTimestamp"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, ValidateEvent(test.event, test.version), test.want...) })
	}
	for name, test := range map[string]struct {
		change  func(*corev1.Event)
		version schema.GroupVersion
		want    []string
	}{
		"a series may grow":                    {func(e *corev1.Event) { e.Series = &corev1.EventSeries{Count: 2, LastObservedTime: e.EventTime} }, events, nil},
		"a series must be right":               {func(e *corev1.Event) { e.Series = &corev1.EventSeries{Count: 2} }, events, []string{required + "series.lastObservedTime"}},
		"nothing else may change":              {func(e *corev1.Event) { e.Message, e.Count = "x", 2 }, events, []string{invalid + "message", invalid + "count"}},
		"not even when it happened":            {func(e *corev1.Event) { e.EventTime = metav1.NewMicroTime(time.Unix(2, 0)) }, events, []string{invalid + "eventTime"}},
		"but for what JSON could not carry":    {func(e *corev1.Event) { e.EventTime = metav1.NewMicroTime(time.Unix(1, 7)) }, events, nil},
		"core/v1 lets nothing grow":            {func(e *corev1.Event) { e.Message = long }, core, []string{invalid + "message"}},
		"core/v1 lets everything be rewritten": {func(e *corev1.Event) { e.Message, e.Count = "x", 2 }, core, nil},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, ValidateEventUpdate(current(test.change), current(func(*corev1.Event) {}), test.version), test.want...)
		})
	}
}
