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
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/transform"
	"k8s.io/utils/ptr"
)

type change func(*metav1.PartialObjectMetadata)

func object(uid types.UID, changes ...change) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: string(uid), UID: uid}}
	for _, f := range changes {
		f(o)
	}
	return o
}

func owned(by types.UID) change {
	return func(o *metav1.PartialObjectMetadata) {
		o.OwnerReferences = append(o.OwnerReferences, metav1.OwnerReference{Name: string(by), UID: by})
	}
}

func blocking(by types.UID) change {
	return func(o *metav1.PartialObjectMetadata) {
		owned(by)(o)
		o.OwnerReferences[len(o.OwnerReferences)-1].BlockOwnerDeletion = ptr.To(true)
	}
}

func finalized(by ...string) change {
	return func(o *metav1.PartialObjectMetadata) { o.Finalizers = by }
}

func deleting(by ...string) change {
	return func(o *metav1.PartialObjectMetadata) {
		o.DeletionTimestamp = &metav1.Time{}
		o.Finalizers = by
	}
}

func in(namespace string) change {
	return func(o *metav1.PartialObjectMetadata) { o.Namespace = namespace }
}

func claimed(states ...ownerState) []claim {
	var claims []claim
	for i, state := range states {
		claims = append(claims, claim{ref: metav1.OwnerReference{UID: types.UID(rune('a' + i))}, state: state})
	}
	return claims
}

const (
	orphan     = metav1.FinalizerOrphanDependents
	foreground = metav1.FinalizerDeleteDependents
)

func TestWhatIsToBeDoneAboutAnObject(t *testing.T) {
	uids := func(u ...types.UID) []types.UID { return u }
	delete := func(policy metav1.DeletionPropagation) plan { return plan{act: remove, policy: policy} }
	for _, tc := range []struct {
		name       string
		object     *metav1.PartialObjectMetadata
		claims     []claim
		dependents []*metav1.PartialObjectMetadata
		want       plan
	}{
		{"no owners, no business", object("x"), nil, nil, plan{act: leave}},
		{"an owner that exists keeps it", object("x"), claimed(solid), nil, plan{act: leave}},
		{"its only owner is gone", object("x"), claimed(absent), nil, delete(metav1.DeletePropagationBackground)},
		{"all its owners are gone", object("x"), claimed(absent, absent), nil, delete(metav1.DeletePropagationBackground)},
		{"one of two owners is gone", object("x"), claimed(absent, solid), nil, plan{act: dropOwners, drop: uids("a")}},
		{"one of two owners waits", object("x"), claimed(solid, waiting), nil, plan{act: dropOwners, drop: uids("b")}},
		{"two of three owners go", object("x"), claimed(waiting, solid, absent), nil, plan{act: dropOwners, drop: uids("a", "c")}},
		{"its owner waits for it, and it owns nothing", object("x"), claimed(waiting), nil, delete(metav1.DeletePropagationBackground)},
		{"its owner waits for it, and it owns something", object("x"), claimed(waiting), []*metav1.PartialObjectMetadata{object("d", owned("x"))}, delete(metav1.DeletePropagationForeground)},
		{"it owns its owner, which waits", object("x"), claimed(waiting), []*metav1.PartialObjectMetadata{object("d", blocking("x"), deleting(foreground))}, plan{act: remove, policy: metav1.DeletePropagationForeground, unblock: true}},
		{"its owner is gone, and it owns something", object("x"), claimed(absent), []*metav1.PartialObjectMetadata{object("d", owned("x"))}, delete(metav1.DeletePropagationBackground)},
		{"its owner is gone, and it has the orphan finalizer", object("x", finalized(orphan)), claimed(absent), nil, delete(metav1.DeletePropagationOrphan)},
		{"its owner is gone, and it has the foreground finalizer", object("x", finalized(foreground)), claimed(absent), nil, delete(metav1.DeletePropagationForeground)},
		{"it is being deleted already", object("x", deleting()), claimed(absent), nil, plan{act: leave}},
		{"it waits for a foreign finalizer", object("x", deleting("example.com/x")), claimed(absent), nil, plan{act: leave}},
		{"it orphans", object("x", deleting(orphan)), nil, []*metav1.PartialObjectMetadata{object("d", owned("x"))}, plan{act: orphanDependents}},
		{"it orphans before it waits", object("x", deleting(foreground, orphan)), nil, nil, plan{act: orphanDependents}},
		{"it waits for nothing", object("x", deleting(foreground)), nil, nil, plan{act: finish}},
		{"it waits for what does not block", object("x", deleting(foreground)), nil, []*metav1.PartialObjectMetadata{object("d", owned("x"))}, plan{act: finish}},
		{"it waits for what blocks another owner", object("x", deleting(foreground)), nil, []*metav1.PartialObjectMetadata{object("d", owned("x"), blocking("y"))}, plan{act: finish}},
		{"it waits for what blocks", object("x", deleting(foreground)), nil, []*metav1.PartialObjectMetadata{object("c", owned("x")), object("d", blocking("x"))}, plan{act: enqueueDependents}},
		{"it waits, though its own owner is gone", object("x", deleting(foreground)), claimed(absent), []*metav1.PartialObjectMetadata{object("d", blocking("x"))}, plan{act: enqueueDependents}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := decide(&tc.object.ObjectMeta, tc.claims, tc.dependents); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestOwnersAreTakenOutByUID(t *testing.T) {
	refs := object("x", owned("a"), blocking("b"), owned("c")).OwnerReferences
	left := withoutOwners(refs, "a", "c")
	if len(left) != 1 || left[0].UID != "b" {
		t.Errorf("left %+v", left)
	}
	// The list must be empty and not nil: a patch does not change a field that it omits.
	if left := withoutOwners(refs, "a", "b", "c"); left == nil || len(left) != 0 {
		t.Errorf("left %+v", left)
	}
	if free := unblocked(refs); len(free) != 3 || free[1].BlockOwnerDeletion != nil || refs[1].BlockOwnerDeletion == nil {
		t.Errorf("unblocked %+v from %+v", free, refs)
	}
}

func TestWhichChangesConcernTheCollector(t *testing.T) {
	for _, tc := range []struct {
		name     string
		old, now *metav1.PartialObjectMetadata
		want     bool
	}{
		{"a report of status", object("x", owned("a")), object("x", owned("a"), func(o *metav1.PartialObjectMetadata) { o.ResourceVersion = "2" }), false},
		{"a deletion", object("x"), object("x", deleting(foreground)), true},
		{"a finalizer less", object("x", deleting(orphan, "y")), object("x", deleting("y")), true},
		{"an owner more", object("x"), object("x", owned("a")), true},
		{"another owner", object("x", owned("b")), object("x", owned("a")), true},
		{"an owner is not blocked any more", object("x", blocking("a")), object("x", owned("a")), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := concerns(tc.old, tc.now); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTheGraph(t *testing.T) {
	things := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "things"}
	others := things.GroupVersion().WithResource("others")
	g := graph{}
	for r, objects := range map[schema.GroupVersionResource][]*metav1.PartialObjectMetadata{
		things: {object("root", in("")), object("a"), object("b", owned("a")), object("far", in("other"), owned("a"))},
		others: {object("c", owned("a"), owned("root")), object("d", owned("unseen"))},
	} {
		indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers())
		for _, o := range objects {
			if err := indexer.Add(o); err != nil {
				t.Fatal(err)
			}
		}
		g[r] = indexer
	}
	names := func(owner types.UID, namespace string) []string {
		var found []string
		for _, n := range g.dependents(key{uid: owner, namespace: namespace}) {
			found = append(found, n.namespace+"/"+n.name)
		}
		slices.Sort(found)
		return found
	}
	if got := names("a", "default"); !slices.Equal(got, []string{"default/b", "default/c"}) {
		t.Errorf("an owner in a namespace owns %v", got)
	}
	if got := names("root", ""); !slices.Equal(got, []string{"default/c"}) {
		t.Errorf("an owner outside of namespaces owns %v", got)
	}
	if got := names("unseen", "default"); !slices.Equal(got, []string{"default/d"}) {
		t.Errorf("an owner that was not seen owns %v", got)
	}
	if n := g.object("c"); n == nil || n.GroupVersionResource != others || n.name != "c" {
		t.Errorf("found %+v", n)
	}
	if n := g.object("unseen"); n != nil {
		t.Errorf("found %+v", n)
	}
}

func TestWhichObjectsWaitForThemselves(t *testing.T) {
	things := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "things"}
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers())
	for _, o := range []*metav1.PartialObjectMetadata{
		object("self", blocking("self"), deleting(foreground)),
		object("one", blocking("two"), deleting(foreground)), object("two", blocking("one"), deleting(foreground)),
		object("a", blocking("b"), deleting(foreground)), object("b", blocking("c"), deleting(foreground)), object("c", blocking("a"), deleting(foreground)),
		object("beside", blocking("a"), deleting(foreground)),
		object("stays", blocking("goes")), object("goes", blocking("stays"), deleting(foreground)),
		object("free", owned("held"), deleting(foreground)), object("held", blocking("free"), deleting(foreground)),
	} {
		if err := indexer.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	g := graph{things: indexer}
	for _, tc := range []struct {
		name string
		uid  types.UID
		want bool
	}{
		{"an object that owns itself has no dependent to wait for", "self", false},
		{"two that own each other", "one", true},
		{"the other of two", "two", true},
		{"one of three in a ring", "b", true},
		{"what hangs on a ring and owns nothing of it", "beside", false},
		{"a ring of which one is not deleted: that one is deleted first", "goes", false},
		{"a ring in which one does not block", "free", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := g.object(tc.uid)
			if got := g.inRing(n.key); got != tc.want {
				t.Errorf("in a ring: %v", got)
			}
			if tc.uid == "self" && len(g.dependents(n.key)) != 0 {
				t.Errorf("its dependents are %v", g.dependents(n.key))
			}
		})
	}
}

func TestWhatIsWatched(t *testing.T) {
	verbs := metav1.Verbs{"get", "list", "watch", "delete"}
	found := resources([]*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: verbs},
			{Name: "configmaps/status", Kind: "Status", Verbs: verbs},
			{Name: "events", Kind: "Event", Namespaced: true, Verbs: verbs},
			{Name: "fixed", Kind: "Fixed", Verbs: metav1.Verbs{"get", "list"}},
			{Name: "reviews", Kind: "Review", Verbs: metav1.Verbs{"create"}},
		}},
		{GroupVersion: "a/b/c", APIResources: []metav1.APIResource{{Name: "x", Kind: "X", Verbs: verbs}}},
	})
	kind := func(name string) resource { return found[schema.GroupKind{Kind: name}] }
	if r := kind("ConfigMap"); !r.watched || !r.namespaced || r.Resource != "configmaps" {
		t.Errorf("config maps: %+v", r)
	}
	if kind("Event").watched || kind("Fixed").watched {
		t.Errorf("watches objects that cannot be collected: %+v", found)
	}
	if len(found) != 3 {
		t.Errorf("found %+v", found)
	}
}

func TestNothingButOwnershipIsKept(t *testing.T) {
	full := object("x", owned("a"), finalized(orphan))
	full.Labels = map[string]string{"app": "web"}
	full.Annotations = map[string]string{"note": "long"}
	full.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	kept, err := transform.OnlyOwnership(full)
	want := object("x", owned("a"), finalized(orphan))
	if err != nil || !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %+v (%v)", kept, err)
	}
	whole := &corev1.Namespace{ObjectMeta: full.ObjectMeta, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
	if kept, err := ownership(cache.DeletedFinalStateUnknown{Obj: whole}); err != nil || !reflect.DeepEqual(kept, want) {
		t.Errorf("of a whole object %+v (%v)", kept, err)
	}
	if kept, err := ownership("no object"); err == nil {
		t.Errorf("of a string %+v", kept)
	}
}
