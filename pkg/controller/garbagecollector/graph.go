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

	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/transform"
)

// The indexes of the informers form the graph: the nodes by UID, the edges by the UID of the
// owner. An owner that only edges name has not been seen yet, or is gone.
const (
	byUID   = Name + "/uid"
	byOwner = Name + "/owner"
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

// ownership returns the metadata of an object of a shared informer, some of which hold whole
// objects.
func ownership(obj any) (*metav1.PartialObjectMetadata, error) {
	if object, ok := tombstone.Object[*metav1.PartialObjectMetadata](obj); ok {
		return object, nil
	}
	object, ok := tombstone.Object[metav1.Object](obj)
	if !ok {
		return nil, fmt.Errorf("%T is not an object", obj)
	}
	return transform.Ownership(object), nil
}

// resource is the resource of a kind that owner references may name.
type resource struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
	// versions are all served versions of the kind; an owner reference may name any of them.
	versions []string
	// watched is false for a resource that does not support list, watch and delete: its objects
	// can be owners, but are not in the graph.
	watched bool
}

// resources returns the served resources by the kinds that owner references name. The first of
// several versions of a kind is used: discovery lists the preferred one first. Events are not
// watched: they have no owners and no dependents, and there are many.
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

// key identifies an object in the queue, and not another one that later has its name.
type key struct {
	schema.GroupVersionResource
	namespace, name string
	uid             types.UID
}

func keyOf(r schema.GroupVersionResource, object *metav1.PartialObjectMetadata) key {
	return key{GroupVersionResource: r, namespace: object.Namespace, name: object.Name, uid: object.UID}
}

// graph finds owners and dependents in the informers of all resources.
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

// object returns the object with the UID; nil if it has not been seen yet, or is gone.
func (g graph) object(uid types.UID) *node {
	if found := g.find(byUID, uid); len(found) > 0 {
		return &found[0]
	}
	return nil
}

// dependents returns the dependents of an owner. A namespaced owner has none outside its
// namespace, whatever references claim, and an object is not its own dependent: it would wait for
// its own deletion.
func (g graph) dependents(owner key) []node {
	return slices.DeleteFunc(g.find(byOwner, owner.uid), func(n node) bool {
		return owner.namespace != "" && n.namespace != owner.namespace || n.uid == owner.uid
	})
}

// inRing reports whether a foreground deletion waits for dependents that wait for the object
// itself: owners of each other that are all deleted in the foreground would never finish.
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
