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

package base

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// addIndexes configures the indexes of the watch cache, and names them in every selection predicate.
// The library reads the first index that a selector matches, so WatchIndex, the most selective, is first.
func addIndexes(r Resource, store *genericregistry.Store, options *generic.StoreOptions) error {
	indexFields := slices.SortedFunc(maps.Keys(r.Indexes), func(a, b string) int {
		if (a == r.WatchIndex) != (b == r.WatchIndex) {
			if a == r.WatchIndex {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	indexers := cache.Indexers{}
	for name, value := range r.Indexes {
		indexers[storage.FieldIndex(name)] = func(obj any) ([]string, error) {
			object, ok := obj.(runtime.Object)
			if !ok {
				return nil, fmt.Errorf("index %s of %s: %T is no API object", name, r.Resource, obj)
			}
			return []string{value(object)}, nil
		}
	}
	options.Indexers = &indexers
	if r.WatchIndex != "" {
		trigger, ok := r.Indexes[r.WatchIndex]
		if !ok {
			return fmt.Errorf("storage of %s: WatchIndex %q is not among the indexes", r.Resource, r.WatchIndex)
		}
		options.TriggerFunc = storage.IndexerFuncs{r.WatchIndex: trigger}
	}
	attrs := options.AttrFunc
	store.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attrs, IndexFields: indexFields}
	}
	return nil
}
