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
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	intOrString = reflect.TypeFor[intstr.IntOrString]()
)

// checkIntegers returns errors for the numbers in a decoded value that do not fit the type.
func checkIntegers(kind reflect.Type, value any, path *field.Path) field.ErrorList {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	switch {
	case kind == intOrString:
		kind = reflect.TypeFor[int32]()
	case reflect.PointerTo(kind).Implements(unmarshaler):
		return nil // its UnmarshalJSON checks the number
	}
	var errs field.ErrorList
	switch value := value.(type) {
	case json.Number:
		if err := checkInteger(kind, value, path); err != nil {
			errs = append(errs, err)
		}
	case []any:
		if kind.Kind() == reflect.Slice || kind.Kind() == reflect.Array {
			for i, element := range value {
				errs = append(errs, checkIntegers(kind.Elem(), element, path.Index(i))...)
			}
		}
	case map[string]any:
		switch kind.Kind() {
		case reflect.Map:
			for key, element := range value {
				errs = append(errs, checkIntegers(kind.Elem(), element, path.Key(key))...)
			}
		case reflect.Struct:
			errs = checkFields(kind, value, path)
		}
	}
	return errs
}

// checkOperations checks the values of a JSON patch against the types at their paths.
func checkOperations(kind reflect.Type, value any) field.ErrorList {
	var errs field.ErrorList
	operations, _ := value.([]any)
	for _, operation := range operations {
		members, _ := operation.(map[string]any)
		pointer, _ := members["path"].(string)
		if at, path, ok := follow(kind, pointer); ok {
			errs = append(errs, checkIntegers(at, members["value"], path)...)
		}
	}
	return errs
}

// follow returns the type at a JSON pointer (RFC 6901).
func follow(kind reflect.Type, pointer string) (reflect.Type, *field.Path, bool) {
	var path *field.Path
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch kind.Kind() {
		case reflect.Struct:
			found := false
			for _, member := range jsonFields(kind) {
				if found = member.name == token; found {
					kind, path = member.Type, path.Child(member.name)
					break
				}
			}
			if !found {
				return nil, nil, false
			}
		case reflect.Map, reflect.Slice:
			kind, path = kind.Elem(), path.Key(token)
		default:
			return nil, nil, false
		}
	}
	return kind, path, true
}

// checkFields checks the fields of a struct that the value has.
func checkFields(kind reflect.Type, value map[string]any, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, member := range jsonFields(kind) {
		if element, found := value[member.name]; found {
			errs = append(errs, checkIntegers(member.Type, element, path.Child(member.name))...)
		}
	}
	return errs
}

// jsonField is a field of a struct with its name in JSON.
type jsonField struct {
	name string
	reflect.StructField
}

// knownFields caches the []jsonField of each patched type: reading the tags costs more than the
// check.
var knownFields sync.Map

// jsonFields returns the fields of a struct with their names in JSON, including those of embedded
// structs.
func jsonFields(kind reflect.Type) []jsonField {
	if known, ok := knownFields.Load(kind); ok {
		return known.([]jsonField)
	}
	var all []jsonField
	for i := range kind.NumField() {
		member := kind.Field(i)
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		embedded := member.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case embedded.Kind() == reflect.Struct && (member.Anonymous && name == "" || strings.Contains(options, "inline")):
			all = append(all, jsonFields(embedded)...)
		case name != "" && name != "-":
			all = append(all, jsonField{name, member})
		}
	}
	knownFields.Store(kind, all)
	return all
}

// checkInteger returns an error for a number that does not fit the type; nil if it fits, or if the
// type is not an integer.
func checkInteger(kind reflect.Type, number json.Number, path *field.Path) *field.Error {
	var least, most int64
	switch kind.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		most = math.MaxInt64 >> (64 - kind.Bits())
		least = -most - 1
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		most = 1<<kind.Bits() - 1
	default:
		return nil
	}
	refused := func(value any) *field.Error {
		return field.Invalid(path, value, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
	if whole, err := number.Int64(); err == nil {
		if whole < least || whole > most {
			return refused(whole)
		}
		return nil
	}
	// More digits than an int64 has, a fraction or an exponent. The least int64 is refused in these
	// forms: as a float it is equal to numbers below it.
	value, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || value != math.Trunc(value) || value <= float64(least)-1 || value >= float64(most)+1 {
		return refused(number.String())
	}
	return nil
}
