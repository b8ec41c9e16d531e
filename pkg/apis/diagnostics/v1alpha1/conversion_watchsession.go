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
)

// The field selectors of watch sessions besides metadata.name.
const (
	// WatchUserField selects by the name of the user.
	WatchUserField = "user"
	// WatchResourceField selects by the resource, without its group.
	WatchResourceField = "resource"
	// WatchNamespaceField selects by the namespace of the request.
	WatchNamespaceField = "namespace"
	// WatchStateField selects by the state: Open or Ended.
	WatchStateField = "state"
	// WatchBlockedField selects by whether a write to the client is blocked: true or false.
	WatchBlockedField = "blocked"
)

// WatchSessionSelectableFields are the field selectors of watch sessions besides metadata.name, which
// every kind has.
var WatchSessionSelectableFields = []string{WatchUserField, WatchResourceField, WatchNamespaceField, WatchStateField, WatchBlockedField}

func convertWatchSessionFieldLabel(label, value string) (string, string, error) {
	if label == "metadata.name" || slices.Contains(WatchSessionSelectableFields, label) {
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported: %q; watch sessions can be selected by metadata.name and %v", label, WatchSessionSelectableFields)
}
