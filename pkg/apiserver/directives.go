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

package apiserver

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Directives of strategic merge patches that hold lists.
const (
	retainKeys          = "$retainKeys"
	deleteFromPrimitive = "$deleteFromPrimitiveList/"
	setElementOrder     = "$setElementOrder/"
)

// checkDirectives returns errors for directives with lists that contain objects or lists in place of names
// or values.
func checkDirectives(value any, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch value := value.(type) {
	case []any:
		for i, element := range value {
			errs = append(errs, checkDirectives(element, path.Index(i))...)
		}
	case map[string]any:
		for name, element := range value {
			at := path.Child(name)
			list, _ := element.([]any)
			for i, item := range list {
				object, isObject := item.(map[string]any)
				switch {
				case name == retainKeys || strings.HasPrefix(name, deleteFromPrimitive):
					if !scalar(item) {
						errs = append(errs, field.Invalid(at.Index(i), "an object or a list", "must be a string, a number or a boolean"))
					}
				case strings.HasPrefix(name, setElementOrder) && isObject:
					for key, part := range object {
						if !scalar(part) {
							errs = append(errs, field.Invalid(at.Index(i).Child(key), "an object or a list", "must be a string, a number or a boolean: it is compared with the merge key of the elements"))
						}
					}
				case strings.HasPrefix(name, setElementOrder) && !scalar(item):
					errs = append(errs, field.Invalid(at.Index(i), "a list", "must be the merge key of an element"))
				}
			}
			errs = append(errs, checkDirectives(element, at)...)
		}
	}
	return errs
}

// checkMergeKeys returns errors for an order of elements of a list that is not merged by elements, and
// for elements that have an object or a list as merge key.
func checkMergeKeys(kind reflect.Type, value any, path *field.Path) field.ErrorList {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if reflect.PointerTo(kind).Implements(unmarshaler) {
		return nil // it is not an object in a patch
	}
	var errs field.ErrorList
	switch value := value.(type) {
	case []any:
		if kind.Kind() == reflect.Slice {
			for i, element := range value {
				errs = append(errs, checkMergeKeys(kind.Elem(), element, path.Index(i))...)
			}
		}
	case map[string]any:
		switch kind.Kind() {
		case reflect.Map:
			for name, element := range value {
				errs = append(errs, checkMergeKeys(kind.Elem(), element, path.Key(name))...)
			}
		case reflect.Struct:
			for _, member := range jsonFields(kind) {
				value, order := value[member.name], value[setElementOrder+member.name]
				if value != nil || order != nil {
					errs = append(errs, checkMerged(member, value, order, path)...)
				}
			}
		}
	}
	return errs
}

// checkMerged checks one field of a patch, and the order of its elements.
func checkMerged(member jsonField, value, order any, path *field.Path) field.ErrorList {
	name := member.name
	errs := checkMergeKeys(member.Type, value, path.Child(name))
	key := member.Tag.Get("patchMergeKey")
	elements, _ := value.([]any)
	for i, element := range elements {
		if object, ok := element.(map[string]any); ok && key != "" && !scalar(object[key]) {
			errs = append(errs, field.Invalid(path.Child(name).Index(i).Child(key), "an object or a list", "must be a string, a number or a boolean: it identifies the elements of the list"))
		}
	}
	places, _ := order.([]any)
	for i, element := range places {
		if !scalar(element) && key == "" {
			errs = append(errs, field.Invalid(path.Child(setElementOrder+name).Index(i), "an object", "the list is not merged element by element: leave the directive out and send the whole list"))
		}
	}
	return errs
}

// scalar reports whether a decoded value can be compared.
func scalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}
