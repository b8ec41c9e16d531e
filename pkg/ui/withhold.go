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

package ui

import (
	"bytes"
	"encoding/json"
)

// Fields that no view shows and that may have secrets: of the metadata of an object, and of its containers.
var (
	withheldMetadata   = []string{"annotations", "managedFields"}
	withheldContainers = []string{"args", "command", "env"}
)

// hints are in each object that has such a field.
var hints = [][]byte{[]byte(`"annotations"`), []byte(`"managedFields"`), []byte(`"containers"`), []byte(`"initContainers"`)}

// withhold returns an object in JSON without the fields that the page does not need.
func withhold(content json.RawMessage) (json.RawMessage, error) {
	hinted := false
	for _, hint := range hints {
		hinted = hinted || bytes.Contains(content, hint)
	}
	if !hinted {
		return content, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	strip(value)
	return json.Marshal(value)
}

// strip removes the fields at any depth: objects have templates of others.
func strip(value any) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			strip(item)
		}
	case map[string]any:
		for name, field := range value {
			switch name {
			case "metadata":
				remove(field, withheldMetadata)
			case "containers", "initContainers":
				items, _ := field.([]any)
				for _, item := range items {
					remove(item, withheldContainers)
				}
			}
			strip(field)
		}
	}
}

func remove(value any, names []string) {
	fields, _ := value.(map[string]any)
	for _, name := range names {
		delete(fields, name)
	}
}
