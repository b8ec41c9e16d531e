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

package adoption

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func object(name string, labelled map[string]string, owners ...metav1.OwnerReference) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), ResourceVersion: "7", Labels: labelled, OwnerReferences: owners,
	}}
}

func deleted(o *metav1.PartialObjectMetadata) *metav1.PartialObjectMetadata {
	o.DeletionTimestamp = ptr.To(metav1.Now())
	return o
}

func ownedBy(uid string) metav1.OwnerReference {
	return metav1.OwnerReference{Name: "whatever", UID: types.UID(uid), Controller: ptr.To(true)}
}

func TestWhatIsMineAndWhatBecomesMine(t *testing.T) {
	web, db := map[string]string{"app": "web"}, map[string]string{"app": "db"}
	for _, tc := range []struct {
		name                 string
		owner, candidate     *metav1.PartialObjectMetadata
		mine, adopted, freed bool
	}{
		{name: "owned and chosen is mine", candidate: object("x", web, ownedBy("owner")), mine: true},
		{name: "chosen, but another's, is left alone", candidate: object("x", web, ownedBy("other"))},
		{name: "an owner of the same name with another uid is another", candidate: object("x", web, ownedBy("owner-before"))},
		{name: "a matching object without an owner is adopted", candidate: object("x", web), adopted: true},
		{name: "chosen, with an owner that is no controller, is adopted", candidate: object("x", web, metav1.OwnerReference{UID: "other"}), adopted: true},
		{name: "a matching object without an owner that is being deleted is not adopted", candidate: deleted(object("x", web))},
		{name: "owned and being deleted is still mine", candidate: deleted(object("x", web, ownedBy("owner"))), mine: true},
		{name: "owned and no longer chosen is let go", candidate: object("x", db, ownedBy("owner")), freed: true},
		{name: "neither is left alone", candidate: object("x", db)},
		{name: "an owner that is being deleted adopts nothing", owner: deleted(object("owner", nil)), candidate: object("x", web)},
		{name: "an owner that is being deleted lets go of nothing", owner: deleted(object("owner", nil)), candidate: object("x", db, ownedBy("owner"))},
		{name: "an owner that is being deleted keeps its own", owner: deleted(object("owner", nil)), candidate: object("x", web, ownedBy("owner")), mine: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			owner := tc.owner
			if owner == nil {
				owner = object("owner", nil)
			}
			got := Decide(owner, labels.SelectorFromSet(web), []*metav1.PartialObjectMetadata{tc.candidate})
			for what, sides := range map[string]struct {
				objects []*metav1.PartialObjectMetadata
				want    bool
			}{"mine": {got.Mine, tc.mine}, "adopted": {got.Adopt, tc.adopted}, "let go": {got.Release, tc.freed}} {
				if slices.Contains(sides.objects, tc.candidate) != sides.want {
					t.Errorf("%s: %t", what, !sides.want)
				}
			}
		})
	}
}

func TestPatchesKeepWhatOthersWrote(t *testing.T) {
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "other", UID: "other"}
	owner := object("owner", nil)
	adopt, err := AdoptPatch(owner, schema.GroupVersionKind{Group: "g", Version: "v1", Kind: "Owner"}, object("x", nil, other))
	if want := `{"metadata":{"uid":"x","resourceVersion":"7","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"other","uid":"other"},` +
		`{"apiVersion":"g/v1","kind":"Owner","name":"owner","uid":"owner","controller":true,"blockOwnerDeletion":true}]}}`; err != nil || string(adopt) != want {
		t.Errorf("adopted by\n%s\nwant\n%s\n%v", adopt, want, err)
	}
	release, err := ReleasePatch(owner, object("x", nil, other, ownedBy("owner")))
	if want := `{"metadata":{"uid":"x","resourceVersion":"7","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"other","uid":"other"}]}}`; err != nil || string(release) != want {
		t.Errorf("let go by\n%s\nwant\n%s\n%v", release, want, err)
	}
	last, err := ReleasePatch(owner, object("x", nil, ownedBy("owner")))
	if want := `{"metadata":{"uid":"x","resourceVersion":"7","ownerReferences":[]}}`; err != nil || string(last) != want {
		t.Errorf("the last reference is taken away by %s, %v", last, err)
	}
}
