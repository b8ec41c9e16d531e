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
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/fake"
	"k8s.io/utils/lru"
)

// An owner of a kind or version that is not served is not treated as gone, even if its UID is cached;
// only owners of served kinds are looked up.
func TestAnOwnerThatIsNotServedKeepsWhatItOwns(t *testing.T) {
	verbs := metav1.Verbs{"get", "list", "watch", "delete"}
	for _, tc := range []struct {
		name, apiVersion, kind string
		want                   ownerState
	}{
		{"served, and not there", "v1", "ConfigMap", absent},
		{"served in another version, too, and not there", "apps/v2", "Thing", absent},
		{"in a version that is not served", "v2", "ConfigMap", solid},
		{"in a version that is not served any more", "apps/v1beta1", "Thing", solid},
		{"of a kind that is not served", "v1", "Pod", solid},
		{"of a group that is not served", "example.com/v1", "ConfigMap", solid},
		{"with no version at all", "", "ConfigMap", solid},
		{"with an invalid version", "a/b/c", "ConfigMap", solid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scheme := fake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			c := &Controller{
				metadata: fake.NewSimpleMetadataClient(scheme), gone: lru.New(8), graph: graph{},
				kinds: resources([]*metav1.APIResourceList{
					{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: verbs}}},
					{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "things", Kind: "Thing", Namespaced: true, Verbs: verbs}}},
					{GroupVersion: "apps/v2", APIResources: []metav1.APIResource{{Name: "things", Kind: "Thing", Namespaced: true, Verbs: verbs}}},
				}),
			}
			c.gone.Add(goneKey{uid: "known to be gone"}, true)
			dependent := key{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, namespace: "default", name: "dependent", uid: "d"}
			for _, uid := range []types.UID{"never seen", "known to be gone"} {
				state, _, err := c.owner(t.Context(), dependent, metav1.OwnerReference{APIVersion: tc.apiVersion, Kind: tc.kind, Name: "owner", UID: uid})
				if err != nil || state != tc.want {
					t.Errorf("%s: state %d, %v, want %d", uid, state, err, tc.want)
				}
			}
		})
	}
	if kind := resources([]*metav1.APIResourceList{
		{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "things", Kind: "Thing", Verbs: verbs}}},
		{GroupVersion: "apps/v2", APIResources: []metav1.APIResource{{Name: "things", Kind: "Thing", Verbs: verbs}}},
	})[schema.GroupKind{Group: "apps", Kind: "Thing"}]; kind.Version != "v1" || len(kind.versions) != 2 {
		t.Errorf("of two versions the preferred one is used: %+v", kind)
	}
}
