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

package policies

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// mostPaths bounds the fields that are named.
const mostPaths = 16

// ChangedPaths returns the fields that differ between two versions of an object, as sorted JSON pointers, without
// their values: at most 16. It returns none if one of the objects cannot be converted.
func ChangedPaths(before, after runtime.Object) []string {
	old, new := contentOf(before), contentOf(after)
	if old == nil || new == nil {
		return nil
	}
	var d differences
	d.compareMaps("", old, new)
	return d
}

func contentOf(object runtime.Object) map[string]any {
	if u, ok := object.(runtime.Unstructured); ok {
		return u.UnstructuredContent()
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil
	}
	return content
}

type differences []string

func (d *differences) add(path string) {
	if len(*d) < mostPaths {
		*d = append(*d, path)
	}
}

func (d *differences) compare(path string, a, b any) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			d.compareMaps(path, a, b)
			return
		}
	case []any:
		if b, ok := b.([]any); ok {
			d.compareLists(path, a, b)
			return
		}
	}
	if !reflect.DeepEqual(a, b) && !sameNumber(a, b) {
		d.add(path)
	}
}

// escape makes a key a part of a JSON pointer.
var escape = strings.NewReplacer("~", "~0", "/", "~1")

func (d *differences) compareMaps(path string, a, b map[string]any) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		// An absent value is the same as null.
		d.compare(path+"/"+escape.Replace(key), a[key], b[key])
	}
}

func (d *differences) compareLists(path string, a, b []any) {
	for i := range max(len(a), len(b)) {
		at := path + "/" + strconv.Itoa(i)
		if i < len(a) && i < len(b) {
			d.compare(at, a[i], b[i])
			continue
		}
		d.add(at)
	}
}

// sameNumber reports whether an integer and a float are the same number.
func sameNumber(a, b any) bool {
	x, ok := number(a)
	y, also := number(b)
	return ok && also && x == y
}

func number(value any) (float64, bool) {
	switch n := value.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}
