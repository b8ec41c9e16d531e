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

package garbagecollector

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// The indexes of every informer are the graph: its nodes by UID, its edges by the UID of
// their owner. An owner that only edges know of is one that was not seen yet, or is gone.
const (
	byUID   = "uid"
	byOwner = "owner"
)

func indexers() cache.Indexers {
	return cache.Indexers{
		byUID: func(obj any) ([]string, error) {
			object, err := ownership(obj)
			if err != nil {
				return nil, err
			}
			return []string{string(object.UID)}, nil
		},
		byOwner: func(obj any) ([]string, error) {
			object, err := ownership(obj)
			if err != nil {
				return nil, err
			}
			var uids []string
			for _, ref := range object.OwnerReferences {
				uids = append(uids, string(ref.UID))
			}
			return uids, nil
		},
	}
}

func ownership(obj any) (*metav1.PartialObjectMetadata, error) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	object, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil, fmt.Errorf("%T is no metadata", obj)
	}
	return object, nil
}

// resource is a kind that owner references may name.
type resource struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
	// versions are all in which the kind is served; an owner reference may name any of them.
	versions []string
	// watched is false for what cannot be listed, watched and deleted: it can own, but is
	// not in the graph.
	watched bool
}

// resources picks from what the server serves, by the kinds that owner references name. Of
// several versions of a kind the first is used, which discovery has for the preferred one.
// Events are not watched: they own nothing, belong to nobody, and there are many.
func resources(lists []*metav1.APIResourceList) map[schema.GroupKind]resource {
	found := map[schema.GroupKind]resource{}
	for _, served := range lists {
		version, err := schema.ParseGroupVersion(served.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range served.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "get") {
				continue
			}
			watched := !(r.Name == "events" && (version.Group == "" || version.Group == "events.k8s.io"))
			for _, verb := range []string{"list", "watch", "delete"} {
				watched = watched && slices.Contains(r.Verbs, verb)
			}
			group := schema.GroupKind{Group: version.Group, Kind: r.Kind}
			kind, known := found[group]
			if !known {
				kind = resource{
					GroupVersionResource: version.WithResource(r.Name),
					kind:                 r.Kind,
					namespaced:           r.Namespaced,
					watched:              watched,
				}
			}
			kind.versions = append(kind.versions, version.Version)
			found[group] = kind
		}
	}
	return found
}

// node is an object in the graph.
type node struct {
	key
	object *metav1.PartialObjectMetadata
}

// key is what the queue holds: an object, and not another one that came to bear its name.
type key struct {
	schema.GroupVersionResource
	namespace, name string
	uid             types.UID
}

func keyOf(r schema.GroupVersionResource, object *metav1.PartialObjectMetadata) key {
	return key{GroupVersionResource: r, namespace: object.Namespace, name: object.Name, uid: object.UID}
}

// graph answers who belongs to whom, from the informers of all resources.
type graph map[schema.GroupVersionResource]cache.Indexer

func (g graph) find(index string, uid types.UID) []node {
	var found []node
	for r, indexer := range g {
		objects, err := indexer.ByIndex(index, string(uid))
		if err != nil {
			continue // an index that every informer has
		}
		for _, obj := range objects {
			if object, err := ownership(obj); err == nil {
				found = append(found, node{key: keyOf(r, object), object: object})
			}
		}
	}
	return found
}

// object is the object of the UID; nil where it was not seen, or is gone.
func (g graph) object(uid types.UID) *node {
	if found := g.find(byUID, uid); len(found) > 0 {
		return &found[0]
	}
	return nil
}

// dependents are what belongs to the owner. An owner in a namespace owns nothing outside of
// it, whatever others claim, and nothing owns itself: an object that says so would wait for its
// own end.
func (g graph) dependents(owner key) []node {
	return slices.DeleteFunc(g.find(byOwner, owner.uid), func(n node) bool {
		return owner.namespace != "" && n.namespace != owner.namespace || n.uid == owner.uid
	})
}

// inRing is true for an object that waits, in the foreground, for objects that wait for it:
// owners of each other that were all deleted so. None of them would ever go.
func (g graph) inRing(k key) bool {
	seen := map[types.UID]bool{k.uid: true}
	waiting := []key{k}
	for len(waiting) > 0 {
		owner := waiting[0]
		waiting = waiting[1:]
		for _, dependent := range g.find(byOwner, owner.uid) {
			if owner.namespace != "" && dependent.namespace != owner.namespace || dependent.uid == owner.uid ||
				!goesInForeground(dependent.object) || !blocks(dependent.object, owner.uid) {
				continue
			}
			if dependent.uid == k.uid {
				return true
			}
			if !seen[dependent.uid] {
				seen[dependent.uid] = true
				waiting = append(waiting, dependent.key)
			}
		}
	}
	return false
}
