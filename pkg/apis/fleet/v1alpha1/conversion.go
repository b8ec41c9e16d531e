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

// InstanceSelectableFields are the field selectors of instances besides metadata.name and
// metadata.namespace, which every kind has.
var InstanceSelectableFields = []string{
	InstanceHostNameField,
	InstanceServiceAccountNameField,
	InstanceRestartPolicyField,
	InstancePhaseField,
}

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Instance"), convertInstanceFieldLabel)
}

func convertInstanceFieldLabel(label, value string) (string, string, error) {
	if slices.Contains(InstanceSelectableFields, label) {
		return label, value, nil
	}
	if _, _, err := runtime.DefaultMetaV1FieldSelectorConversion(label, value); err == nil {
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported: %q; instances can be selected by metadata.name, metadata.namespace and %v", label, InstanceSelectableFields)
}
