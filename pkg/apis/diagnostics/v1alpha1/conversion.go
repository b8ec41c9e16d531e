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

package v1alpha1

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// The field selectors of request traces besides metadata.name.
const (
	// TraceUserField selects by the name of the user.
	TraceUserField = "user"
	// TraceVerbField selects by the verb.
	TraceVerbField = "verb"
	// TraceResourceField selects by the resource, without its group.
	TraceResourceField = "resource"
	// TraceNamespaceField selects by the namespace of the requested object.
	TraceNamespaceField = "namespace"
	// TraceCodeField selects by the HTTP status code.
	TraceCodeField = "code"
	// TraceVerdictField selects by the verdict.
	TraceVerdictField = "verdict"
	// TraceStopField selects by the stop of decidedBy.
	TraceStopField = "stop"
	// TraceIDField selects by the beginning of the name by which messages name the trace.
	TraceIDField = "id"
)

// RequestTraceSelectableFields are the field selectors of request traces besides metadata.name, which
// every kind has.
var RequestTraceSelectableFields = []string{
	TraceUserField, TraceVerbField, TraceResourceField, TraceNamespaceField, TraceCodeField, TraceVerdictField, TraceStopField, TraceIDField,
}

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	if err := scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("WatchSession"), convertWatchSessionFieldLabel); err != nil {
		return err
	}
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("RequestTrace"), convertRequestTraceFieldLabel)
}

func convertRequestTraceFieldLabel(label, value string) (string, string, error) {
	if label == "metadata.name" || slices.Contains(RequestTraceSelectableFields, label) {
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported: %q; request traces can be selected by metadata.name and %v", label, RequestTraceSelectableFields)
}
