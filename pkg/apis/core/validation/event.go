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
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// How long the texts of an event may be, in bytes. Those of events.k8s.io hold in core/v1, too,
// where Kubernetes allows an event without an eventTime any size up to that of a request: agents
// write events without a user's action, and in any number.
const (
	maxEventText    = 128
	maxEventMessage = 1024
	// maxEventName is for names of components and hosts.
	maxEventName = 253
	// maxEventSize is for the whole event without its managedFields: references, labels and
	// annotations, besides the texts.
	maxEventSize = 4096
)

// ValidateEvent checks a new event by the rules of the version of the request: those of core/v1 are
// older and less strict.
func ValidateEvent(event *corev1.Event, version schema.GroupVersion) field.ErrorList {
	errs := validateEvent(event, version)
	if version != eventsv1.SchemeGroupVersion {
		return errs
	}
	errs = append(errs, validateMeta(&event.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)...)
	errs = append(errs, validateSeries(event)...)
	if event.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), "must be the time at which the event occurred"))
	}
	if event.Type != corev1.EventTypeNormal && event.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), event.Type, "must be Normal or Warning"))
	}
	for _, old := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !event.FirstTimestamp.IsZero()},
		{"lastTimestamp", !event.LastTimestamp.IsZero()},
		{"count", event.Count != 0},
		{"source", event.Source != corev1.EventSource{}},
	} {
		if old.set {
			errs = append(errs, field.Invalid(field.NewPath(old.name), "", "belongs to core/v1: leave it out"))
		}
	}
	return errs
}

// ValidateEventUpdate checks a write: in events.k8s.io/v1 only the series and the metadata of
// an event may change.
func ValidateEventUpdate(event, old *corev1.Event, version schema.GroupVersion) field.ErrorList {
	errs := validateEvent(event, version)
	if version != eventsv1.SchemeGroupVersion {
		return errs
	}
	errs = append(errs, validateMetaUpdate(&event.ObjectMeta)...)
	if !reflect.DeepEqual(event.Series, old.Series) {
		errs = append(errs, validateSeries(event)...)
	}
	for _, fixed := range []struct {
		name     string
		new, old any
	}{
		{"involvedObject", event.InvolvedObject, old.InvolvedObject},
		{"reason", event.Reason, old.Reason},
		{"message", event.Message, old.Message},
		{"source", event.Source, old.Source},
		{"firstTimestamp", event.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", event.LastTimestamp, old.LastTimestamp},
		{"count", event.Count, old.Count},
		{"type", event.Type, old.Type},
		{"action", event.Action, old.Action},
		{"related", event.Related, old.Related},
		{"reportingController", event.ReportingController, old.ReportingController},
		{"reportingInstance", event.ReportingInstance, old.ReportingInstance},
	} {
		errs = append(errs, apivalidation.ValidateImmutableField(fixed.new, fixed.old, field.NewPath(fixed.name))...)
	}
	// JSON carries microseconds; what protobuf may carry beyond is not a change.
	if !event.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		errs = append(errs, field.Invalid(field.NewPath("eventTime"), event.EventTime, apivalidation.FieldImmutableErrorMsg))
	}
	return errs
}

// validateEvent checks what holds in both versions.
func validateEvent(event *corev1.Event, version schema.GroupVersion) field.ErrorList {
	reporter := "reportingController"
	if version == corev1.SchemeGroupVersion {
		reporter = "reportingComponent"
	}
	errs := validateEventSize(event, reporter)
	involved := event.InvolvedObject.Namespace
	elsewhere := field.Invalid(field.NewPath("involvedObject", "namespace"), involved, "must be the event's own namespace; events of what has none belong to "+metav1.NamespaceDefault)
	if event.EventTime.IsZero() {
		// Old clients write events about cluster-scoped objects to default, or without a namespace.
		nowhere := involved == "" && (event.Namespace == "" || event.Namespace == metav1.NamespaceDefault)
		if !nowhere && event.Namespace != involved {
			errs = append(errs, elsewhere)
		}
		return errs
	}
	if involved == "" && event.Namespace != metav1.NamespaceDefault && event.Namespace != metav1.NamespaceSystem {
		errs = append(errs, elsewhere)
	}
	for _, text := range []struct{ name, value string }{
		{reporter, event.ReportingController},
		{"reportingInstance", event.ReportingInstance},
		{"action", event.Action},
		{"reason", event.Reason},
	} {
		if text.value == "" {
			errs = append(errs, field.Required(field.NewPath(text.name), "must be set if eventTime is set"))
		}
	}
	for _, message := range utilvalidation.IsQualifiedName(event.ReportingController) {
		errs = append(errs, field.Invalid(field.NewPath(reporter), short(event.ReportingController), message))
	}
	return errs
}

// validateEventSize bounds what one event takes in the store.
func validateEventSize(event *corev1.Event, reporter string) field.ErrorList {
	var errs field.ErrorList
	for _, text := range []struct {
		path  *field.Path
		value string
		most  int
	}{
		{field.NewPath(reporter), event.ReportingController, maxEventName + 1 + 63}, // a qualified name
		{field.NewPath("reportingInstance"), event.ReportingInstance, maxEventText},
		{field.NewPath("action"), event.Action, maxEventText},
		{field.NewPath("reason"), event.Reason, maxEventText},
		{field.NewPath("type"), event.Type, maxEventText},
		{field.NewPath("source", "component"), event.Source.Component, maxEventName},
		{field.NewPath("source", "host"), event.Source.Host, maxEventName},
		{field.NewPath("message"), event.Message, maxEventMessage},
	} {
		if len(text.value) > text.most {
			errs = append(errs, field.Invalid(text.path, "", tooLong(text.most)))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	whole := *event
	whole.ManagedFields = nil
	if size := whole.Size(); size > maxEventSize {
		errs = append(errs, field.Invalid(nil, "", fmt.Sprintf("the event has %d bytes and must have no more than %d: shorten its references, labels and annotations", size, maxEventSize)))
	}
	return errs
}

// short is the beginning of a text that may be as long as a request.
func short(text string) string {
	if len(text) > maxEventName {
		return text[:maxEventName] + "..."
	}
	return text
}

func tooLong(most int) string { return fmt.Sprintf("must be no more than %d bytes", most) }

func validateSeries(event *corev1.Event) field.ErrorList {
	var errs field.ErrorList
	if event.Series == nil {
		return nil
	}
	if event.Series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), event.Series.Count, "must be at least 2: one event is no series"))
	}
	if event.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), "must be the time at which the event last occurred"))
	}
	return errs
}
