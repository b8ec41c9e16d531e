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

package events

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group.
const GroupName = eventsv1.GroupName

// SchemeGroupVersion is the internal version of the group.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

var (
	// SchemeBuilder collects the functions that register the group.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes, addConversions, addFieldLabelConversions)
	// AddToScheme registers the group in a scheme, in which the core group must be already:
	// events are of the core group first.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(eventsv1.SchemeGroupVersion, &eventsv1.Event{}, &eventsv1.EventList{})
	scheme.AddKnownTypes(SchemeGroupVersion, &corev1.Event{}, &corev1.EventList{})
	metav1.AddToGroupVersion(scheme, eventsv1.SchemeGroupVersion)
	return nil
}

// hubFields maps field selectors of the version to those of the hub.
var hubFields = map[string]string{
	metav1.ObjectNameField:      metav1.ObjectNameField,
	"metadata.namespace":        "metadata.namespace",
	"reason":                    "reason",
	"regarding.apiVersion":      "involvedObject.apiVersion",
	"regarding.fieldPath":       "involvedObject.fieldPath",
	"regarding.kind":            "involvedObject.kind",
	"regarding.name":            "involvedObject.name",
	"regarding.namespace":       "involvedObject.namespace",
	"regarding.resourceVersion": "involvedObject.resourceVersion",
	"regarding.uid":             "involvedObject.uid",
	"reportingController":       "reportingComponent",
	"type":                      "type",
}

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(eventsv1.SchemeGroupVersion.WithKind("Event"), func(label, value string) (string, string, error) {
		if hub, ok := hubFields[label]; ok {
			return hub, value, nil
		}
		return "", "", fmt.Errorf("field label not supported: %s", label)
	})
}
