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
	"slices"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	generatedopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
)

// A strategic merge patch identifies elements of a list by one key, server-side apply by all of
// x-kubernetes-list-map-keys. If the two differ, a strategic patch changes the wrong element.
func TestListsMergeByTheSameKeysInEveryKindOfPatch(t *testing.T) {
	lists := 0
	for model, definition := range generatedopenapi.GetOpenAPIDefinitions(spec.MustCreateRef) {
		for name, property := range definition.Schema.Properties {
			if !property.Type.Contains("array") {
				continue
			}
			lists++
			strategy, _ := property.Extensions.GetString("x-kubernetes-patch-strategy")
			mergeKey, _ := property.Extensions.GetString("x-kubernetes-patch-merge-key")
			listType, _ := property.Extensions.GetString("x-kubernetes-list-type")
			mapKeys, _ := property.Extensions.GetStringSlice("x-kubernetes-list-map-keys")
			merged := slices.Contains(strings.Split(strategy, ","), "merge")
			switch {
			case mergeKey != "" && !merged:
				t.Errorf("%s.%s has a merge key and is not merged", model, name)
			case merged && mergeKey == "" && listType != "set":
				t.Errorf("%s.%s is merged as a set, and its list type is %q", model, name, listType)
			case merged && mergeKey != "" && (listType != "map" || !slices.Equal(mapKeys, []string{mergeKey})):
				t.Errorf("%s.%s is merged by %s in a strategic patch, and is a %s by %v in an apply", model, name, mergeKey, listType, mapKeys)
			}
		}
	}
	if lists < 30 {
		t.Errorf("found %d lists", lists)
	}
}

// The server merges by the tags in Go, kubectl by OpenAPI: both must merge a patch in the same way.
func TestOpenAPIAndGoMergeListsAlike(t *testing.T) {
	definitions := generatedopenapi.GetOpenAPIDefinitions(spec.MustCreateRef)
	seen := map[reflect.Type]bool{}
	var walk func(kind reflect.Type)
	walk = func(kind reflect.Type) {
		for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice || kind.Kind() == reflect.Map {
			kind = kind.Elem()
		}
		if kind.Kind() != reflect.Struct || seen[kind] {
			return
		}
		seen[kind] = true
		named, ok := reflect.New(kind).Interface().(interface{ OpenAPIModelName() string })
		for _, member := range jsonFields(kind) {
			name := member.name
			walk(member.Type)
			if !ok {
				continue
			}
			property := definitions[named.OpenAPIModelName()].Schema.Properties[name]
			for tag, extension := range map[string]string{"patchStrategy": "x-kubernetes-patch-strategy", "patchMergeKey": "x-kubernetes-patch-merge-key"} {
				if published, _ := property.Extensions.GetString(extension); published != member.Tag.Get(tag) {
					t.Errorf("%s.%s: %s is %q in Go and %q in OpenAPI", kind, name, tag, member.Tag.Get(tag), published)
				}
			}
		}
	}
	for _, kind := range []reflect.Type{
		reflect.TypeFor[v1alpha1.App](), reflect.TypeFor[v1alpha1.Release](), reflect.TypeFor[v1alpha1.Instance](),
		reflect.TypeFor[v1alpha1.Host](), reflect.TypeFor[v1alpha1.HostLease](),
	} {
		walk(kind)
	}
	if len(seen) < 20 {
		t.Errorf("found %d types", len(seen))
	}
}
