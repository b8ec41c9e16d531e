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

package release

import (
	"context"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	upstream "k8s.io/kubernetes/pkg/controller"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	ours "github.com/gatehouse-dev/gatehouse/pkg/controller/release"
)

// claimed returns the instances that upstream claims, and the number of its patches.
func claimed(t *testing.T, owner *v1alpha1.Release, selector labels.Selector, instances []*v1alpha1.Instance) (names []string, patches int) {
	t.Helper()
	control := &upstream.FakePodControl{}
	rs := replicaSet(owner)
	manager := upstream.NewPodControllerRefManager(control, rs, selector, rs.GroupVersionKind(), func(context.Context) error { return nil })
	mine, err := manager.ClaimPods(t.Context(), pods(instances))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range mine {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names, len(control.Patches)
}

// decided returns the same of our controller.
func decided(owner *v1alpha1.Release, selector labels.Selector, instances []*v1alpha1.Instance) (names []string, patches int) {
	claims := ours.Claims(owner, selector, instances)
	for _, i := range slices.Concat(claims.Mine, claims.Adopt) {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names, len(claims.Adopt) + len(claims.Release)
}

func TestInstancesAreClaimedAlike(t *testing.T) {
	production := map[string]string{"type": "production"}
	owner, other := release("web", 1, production), release("other", 1, production)
	going := release("web", 1, production)
	going.DeletionTimestamp = ptr.To(metav1.NewTime(start))
	testing1 := labelled("type", "testing")
	plainly := func(i *v1alpha1.Instance) { i.OwnerReferences[0].Controller = nil }
	for _, tc := range []struct {
		name      string
		owner     *v1alpha1.Release
		instances []*v1alpha1.Instance
		want      []string
		patches   int
	}{
		{"orphans with the right labels", owner, []*v1alpha1.Instance{instance("a", labelled("type", "production")), instance("b", testing1)}, []string{"a"}, 1},
		{"one that is being deleted claims no orphans", going, []*v1alpha1.Instance{instance("a", labelled("type", "production")), instance("b", labelled("type", "production"))}, nil, 0},
		{"it keeps its own", going, []*v1alpha1.Instance{instance("a", of(going)), instance("b", labelled("type", "production"))}, []string{"a"}, 0},
		{"it lets go of none", going, []*v1alpha1.Instance{instance("a", of(going), testing1)}, nil, 0},
		{"another's are left alone", owner, []*v1alpha1.Instance{instance("a", of(owner)), instance("b", of(other))}, []string{"a"}, 0},
		{"those that are chosen no longer are let go", owner, []*v1alpha1.Instance{instance("a", of(owner)), instance("b", of(owner), testing1)}, []string{"a"}, 1},
		{"orphans that are being deleted are not adopted", owner, []*v1alpha1.Instance{instance("a", of(owner), deleted), instance("b", labelled("type", "production"), deleted)}, []string{"a"}, 0},
		{"some of each", owner, []*v1alpha1.Instance{instance("a", of(owner)), instance("b", of(owner), testing1), instance("c", labelled("type", "production"))}, []string{"a", "c"}, 2},
		{"an owner that is no controller does not count", owner, []*v1alpha1.Instance{instance("a", of(other), plainly)}, []string{"a"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			selector := labels.SelectorFromSet(production)
			theirs, theirPatches := claimed(t, tc.owner, selector, tc.instances)
			mine, patches := decided(tc.owner, selector, tc.instances)
			if !slices.Equal(theirs, tc.want) || !slices.Equal(mine, tc.want) || patches != tc.patches || theirPatches != tc.patches {
				t.Errorf("upstream claims %v by %d patches, we %v by %d; want %v by %d", theirs, theirPatches, mine, patches, tc.want, tc.patches)
			}
		})
	}
}

func TestRandomInstancesAreFilteredAndClaimedAlike(t *testing.T) {
	s := newSource(t)
	adopted := 0
	for n := range 2000 {
		chosen := map[string]string{"app": "web"}
		owner, other := release("web", 1, chosen), release("other", 1, chosen)
		if s.IntN(6) == 0 {
			owner.DeletionTimestamp = ptr.To(metav1.NewTime(start))
		}
		var all []*v1alpha1.Instance
		for m := range s.IntN(12) {
			i := s.instance(fmt.Sprint(m), start)
			pick(s, func() { of(owner)(i) }, func() { of(other)(i) }, func() {})()
			if s.IntN(2) == 0 {
				labelled("app", pick(s, "web", "db"))(i)
			}
			all = append(all, i)
		}
		var theirActive, mineActive []types.UID
		for _, p := range upstream.FilterActivePods(klog.Background(), pods(all)) {
			theirActive = append(theirActive, p.UID)
		}
		active := ours.Active(all)
		for _, i := range active {
			mineActive = append(mineActive, i.UID)
		}
		if !slices.Equal(theirActive, mineActive) {
			t.Fatalf("list %d: active are %v upstream, and %v with us", n, theirActive, mineActive)
		}
		selector := labels.SelectorFromSet(chosen)
		theirs, theirPatches := claimed(t, owner, selector, active)
		mine, patches := decided(owner, selector, active)
		if !slices.Equal(theirs, mine) || theirPatches != patches {
			t.Fatalf("list %d: upstream claims %v by %d patches, we %v by %d", n, theirs, theirPatches, mine, patches)
		}
		adopted += patches
	}
	if adopted < 500 {
		t.Errorf("only %d patches", adopted)
	}
}

func TestTemplatesMakeTheSame(t *testing.T) {
	r := release("web", 1, map[string]string{"app": "web"})
	for _, tc := range []struct {
		name   string
		change func(*metav1.ObjectMeta)
	}{
		{"labels", func(*metav1.ObjectMeta) {}},
		{"annotations", func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{"why": "because"} }},
		{"finalizers", func(m *metav1.ObjectMeta) { m.Finalizers = []string{"example.com/f"} }},
		{"a name is not taken over", func(m *metav1.ObjectMeta) { m.Name, m.GenerateName, m.Namespace = "n", "g", "s" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := r.DeepCopy()
			tc.change(&r.Spec.Template.ObjectMeta)
			rs := replicaSet(r)
			p, err := upstream.GetPodFromTemplate(&rs.Spec.Template, rs, metav1.NewControllerRef(rs, rs.GroupVersionKind()))
			if err != nil {
				t.Fatal(err)
			}
			i := ours.NewInstance(r)
			if fmt.Sprint(i.Labels, i.Annotations, i.Finalizers, i.GenerateName, i.Name) != fmt.Sprint(p.Labels, p.Annotations, p.Finalizers, p.GenerateName, p.Name) {
				t.Errorf("ours %+v\nupstream %+v", i.ObjectMeta, p.ObjectMeta)
			}
			mine, theirs := i.OwnerReferences, p.OwnerReferences
			if len(mine) != 1 || len(theirs) != 1 || mine[0].UID != theirs[0].UID || *mine[0].Controller != *theirs[0].Controller || *mine[0].BlockOwnerDeletion != *theirs[0].BlockOwnerDeletion {
				t.Errorf("ours %+v, upstream %+v", mine, theirs)
			}
		})
	}
}
