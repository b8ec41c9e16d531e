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

package admissionregistration

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// words are put into every string field: a word is valid in one field and invalid in another.
var words = []string{
	"", " ", "a", "A", "a b", "a.b.c", "a/b", "a/b/c", "/", "*", "*/*", "*/status", "pods", "pods/*", "pods/status", "-a", "namespace", "_x9",
	"v1", "v1beta1", "v3", "example.com/v1", "Example/v1", "example.com/", "ConfigMap",
	"CREATE", "DELETE", "PATCH", "Fail", "Ignore", "Exact", "Equivalent", "None", "NoneOnDryRun", "Some", "Unknown", "IfNeeded", "Never",
	"Cluster", "Namespaced", "Deny", "Warn", "Audit", "Allow", "Forbidden", "Invalid", "Unauthorized", "JSONPatch", "ApplyConfiguration", "In", "Exists",
	"https://example.com/a", "http://example.com", "https://me@example.com?a=b#c", "https://%", "a\nb", "a\n",
	"true", "1", "'text'", "null", "object.", "object.spec.x == 1", " params.x == 1", "variables.first == 1", "variables.nothing", "variables",
	"authorizer.group('').resource('pods').check('get').allowed()", "authorizer.group('').resource('pods').check('get').reason()",
	"Object{}", "Object{spec: Object.spec{a: 1}}", "[JSONPatch{op: 'add', path: '/a', value: 1}]", "JSONPatch{op: 'add'}", "[1, 'a']", "namespaceObject.metadata.name",
	"string(request.userInfo.username)", "cel.bind(a, 1, a == 1)", strings.Repeat("a", 300), "'" + strings.Repeat("a", 6000) + "'",
}

var numbers = []int64{-1, 0, 1, 30, 31, 443, 65535, 65536}

// spots calls f for every value in an object that can vary, in a fixed order.
func spots(v reflect.Value, f func(v reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		f(v)
		if !v.IsNil() {
			spots(v.Elem(), f)
		}
	case reflect.Struct:
		switch v.Interface().(type) {
		case metav1.ObjectMeta, metav1.Time:
			return // the library validates these, for both
		}
		for i := range v.NumField() {
			spots(v.Field(i), f)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // a CA bundle, which is not validated
		}
		f(v)
		for i := range v.Len() {
			spots(v.Index(i), f)
		}
	case reflect.Map, reflect.String, reflect.Int32, reflect.Int64:
		f(v)
	}
}

// body returns the part of an object that is validated here.
func body(obj any) reflect.Value {
	v := reflect.ValueOf(obj).Elem()
	for _, name := range []string{"Spec", "Webhooks"} {
		if part := v.FieldByName(name); part.IsValid() {
			return part
		}
	}
	return v
}

// variants returns functions that set a spot to each of its possible values.
func variants(v reflect.Value) []func() {
	zero := func() { v.SetZero() }
	switch v.Kind() {
	case reflect.Pointer:
		return []func(){zero, func() { v.Set(reflect.New(v.Type().Elem())) }}
	case reflect.Slice:
		out := []func(){zero, func() { v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem()))) }}
		if v.Len() > 0 {
			out = append(out, func() { v.Set(reflect.Append(v, v.Index(0))) }, func() { v.Set(v.Slice(1, v.Len())) }, func() { many(v) })
		}
		return out
	case reflect.Map:
		return []func(){zero, func() { v.Set(reflect.ValueOf(map[string]string{"a b": "c"})) }, func() { v.Set(reflect.ValueOf(map[string]string{"a": "b c"})) }}
	case reflect.String:
		var out []func()
		for _, word := range words {
			out = append(out, func() { v.SetString(word) })
		}
		return out
	}
	var out []func()
	for _, number := range numbers {
		out = append(out, func() { v.SetInt(number) })
	}
	return out
}

// many sets a list to more items than any limit allows.
func many(v reflect.Value) {
	for range 65 {
		v.Set(reflect.Append(v, v.Index(0)))
	}
}

// count returns the number of spots, and nth returns one of them.
func count(obj any) int {
	n := 0
	spots(body(obj), func(reflect.Value) { n++ })
	return n
}

func nth(obj any, n int) reflect.Value {
	var found reflect.Value
	spots(body(obj), func(v reflect.Value) {
		if n == 0 {
			found = v
		}
		n--
	})
	return found
}
