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

package storage

import (
	"context"
	"fmt"
	"reflect"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/dump"
	"sigs.k8s.io/randfill"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// pod returns a new pod of a release, as one that was decoded: it has no memory in common with another.
func pod(number int) *corev1.Pod {
	text := func(s string) string { return strings.Clone(s) }
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", number), Namespace: text("default"), UID: types.UID(fmt.Sprint("uid-", number)), ResourceVersion: fmt.Sprint(number),
			Labels:          map[string]string{text("app"): text("checkout")},
			OwnerReferences: []metav1.OwnerReference{{Kind: text("Release"), Name: text("checkout-1"), UID: types.UID(text("1"))}},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: text("controllers"), Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: text("FieldsV1"),
				Time: &metav1.Time{Time: time.Unix(int64(number), 0)}, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:containers":{}}}`),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", number),
			Containers: []corev1.Container{{
				Name: text("server"), Image: text("registry.example.com/checkout:1"), Args: []string{text("--listen=:8080")},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("250m"), "memory": resource.MustParse("64Mi")}},
			}},
			Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
		},
		Status: corev1.PodStatus{
			PodIP:      fmt.Sprintf("192.0.2.%d", number),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, Reason: text("Started"), LastTransitionTime: metav1.Unix(int64(number), 0)}},
		},
	}
}

// release returns pods of one release whose parts are shared.
func release(s *sharing, count int) []*corev1.Pod {
	pods := make([]*corev1.Pod, 0, count)
	for i := range count {
		pods = append(pods, pod(i))
		s.object(pods[i])
	}
	return pods
}

func TestEqualPartsAreTheSameMemory(t *testing.T) {
	pods := release(newSharing(), 4)
	third, fourth := pods[2], pods[3]
	mapOf := func(m any) unsafe.Pointer { return reflect.ValueOf(m).UnsafePointer() }
	text := func(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }
	for _, test := range []struct {
		name string
		of   func(*corev1.Pod) unsafe.Pointer
		same bool
	}{
		{"labels", func(p *corev1.Pod) unsafe.Pointer { return mapOf(p.Labels) }, true},
		{"owners", func(p *corev1.Pod) unsafe.Pointer { return unsafe.Pointer(&p.OwnerReferences[0]) }, true},
		{"the namespace", func(p *corev1.Pod) unsafe.Pointer { return text(p.Namespace) }, true},
		{"containers", func(p *corev1.Pod) unsafe.Pointer { return unsafe.Pointer(&p.Spec.Containers[0]) }, true},
		{"a struct behind a pointer", func(p *corev1.Pod) unsafe.Pointer { return unsafe.Pointer(p.Spec.Affinity) }, true},
		{"managed fields of equal content", func(p *corev1.Pod) unsafe.Pointer { return unsafe.Pointer(p.ManagedFields[0].FieldsV1) }, true},
		{"the manager beside a different time", func(p *corev1.Pod) unsafe.Pointer { return text(p.ManagedFields[0].Manager) }, true},
		{"a reason beside a different time", func(p *corev1.Pod) unsafe.Pointer { return text(p.Status.Conditions[0].Reason) }, true},
		{"entries of managed fields with different times", func(p *corev1.Pod) unsafe.Pointer { return unsafe.Pointer(&p.ManagedFields[0]) }, false},
		{"conditions with different times", func(p *corev1.Pod) unsafe.Pointer { return unsafe.Pointer(&p.Status.Conditions[0]) }, false},
		{"names", func(p *corev1.Pod) unsafe.Pointer { return text(p.Name) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if same := test.of(third) == test.of(fourth); same != test.same {
				t.Errorf("the same memory: %t, want %t", same, test.same)
			}
		})
	}
}

func TestPartsOfOneReleaseChangeWithoutTheOthers(t *testing.T) {
	s := newSharing()
	release(s, 3)
	changed := pod(3)
	changed.Spec.Containers[0].Image = "registry.example.com/checkout:2"
	s.object(changed)
	last := pod(4)
	s.object(last)
	if changed.Spec.Containers[0].Image == last.Spec.Containers[0].Image {
		t.Error("different containers are shared")
	}
	// Resources are those of the others, because a part within a new one is shared, too.
	if reflect.ValueOf(changed.Spec.Containers[0].Resources.Limits).Pointer() != reflect.ValueOf(last.Spec.Containers[0].Resources.Limits).Pointer() {
		t.Error("equal limits of different containers are not shared")
	}
}

// Random objects show that no content is lost, whatever the fields of a kind.
func TestSharingChangesNoContent(t *testing.T) {
	seed := int64(kit.Seed(t))
	for _, object := range []runtime.Object{&corev1.Pod{}, &corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Event{}, &corev1.ResourceQuota{}} {
		t.Run(fmt.Sprintf("%T", object), func(t *testing.T) {
			s := newSharing()
			fill := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(1, 3).MaxDepth(12)
			for range 40 {
				random := reflect.New(reflect.TypeOf(object).Elem()).Interface().(runtime.Object)
				fill.Fill(random)
				for range 4 {
					fresh := random.DeepCopyObject()
					s.object(fresh)
					if !reflect.DeepEqual(fresh, random) {
						t.Fatalf("before %s\nafter %s", dump.Pretty(random), dump.Pretty(fresh))
					}
				}
			}
		})
	}
}

func TestSecretsAndLargePartsAreNotRemembered(t *testing.T) {
	s := newSharing()
	for range 3 {
		s.object(&corev1.Secret{Data: map[string][]byte{"password": []byte("a password")}})
		s.object(&corev1.ConfigMap{Data: map[string]string{"file": strings.Repeat("a", largestPart)}})
	}
	if len(s.young)+len(s.old) > 0 {
		t.Errorf("remembered: %v %v", s.young, s.old)
	}
}

func TestWhatIsRememberedIsBoundedAndWhatRepeatsStays(t *testing.T) {
	s := newSharing()
	pods := release(s, 3)
	for i := range 4 * sharedParts {
		s.object(&corev1.Event{Reason: fmt.Sprint("reason ", i), Message: fmt.Sprint("message ", i)})
		if i%1000 == 0 {
			s.object(pod(i))
		}
		if n := max(len(s.young), len(s.old)); n > sharedParts {
			t.Fatalf("a generation has %d parts, and %d is the bound", n, sharedParts)
		}
	}
	last := pod(1)
	s.object(last)
	if &last.Spec.Containers[0] != &pods[2].Spec.Containers[0] {
		t.Error("containers that came again and again were forgotten")
	}
}

func TestAChangeOfASharedPartIsDetected(t *testing.T) {
	t.Setenv("KUBE_CACHE_MUTATION_DETECTOR", "true")
	s := newSharing()
	pods := release(s, 4)
	pods[3].Spec.Containers[0].Resources.Limits["cpu"] = resource.MustParse("1")
	defer func() {
		if found := fmt.Sprint(recover()); !strings.Contains(found, "was changed") {
			t.Errorf("recovered %s", found)
		}
	}()
	s.object(pod(5))
	t.Error("not detected")
}

// below is the storage below a watch cache, with one watch.
type below struct {
	storage.Interface
	watched watch.Interface
}

func (b below) Watch(context.Context, string, storage.ListOptions) (watch.Interface, error) {
	return b.watched, nil
}

func (b below) GetList(_ context.Context, _ string, _ storage.ListOptions, list runtime.Object) error {
	for i := range 4 {
		list.(*corev1.PodList).Items = append(list.(*corev1.PodList).Items, *pod(i))
	}
	return nil
}

// timed is the object of an event as etcd's storage sends it to a watch cache.
type timed struct{ runtime.Object }

func (timed) RecordTime() time.Time    { return time.Time{} }
func (o timed) Unwrap() runtime.Object { return o.Object }

func TestAStorageBelowAWatchCacheSharesWhatItReads(t *testing.T) {
	events := watch.NewFakeWithChanSize(10, false)
	s := sharesParts{below{watched: events}, newSharing()}
	var list corev1.PodList
	if err := s.GetList(t.Context(), "", storage.ListOptions{}, &list); err != nil {
		t.Fatal(err)
	}
	containers := &list.Items[2].Spec.Containers[0]
	if &list.Items[3].Spec.Containers[0] != containers {
		t.Error("the items of a list share no containers")
	}
	watched, err := s.Watch(t.Context(), "", storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	events.Add(pod(5))
	events.Modify(timed{pod(6)})
	events.Delete(pod(7))
	for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		event := <-watched.ResultChan()
		object := event.Object
		if event.Type == watch.Modified {
			object = object.(timed).Object
		}
		if event.Type != want || &object.(*corev1.Pod).Spec.Containers[0] != containers {
			t.Errorf("%s, not %s, or without the containers of the list", event.Type, want)
		}
	}
	events.Error(&metav1.Status{Message: "compacted"})
	if event := <-watched.ResultChan(); event.Object.(*metav1.Status).Message != "compacted" {
		t.Errorf("got %v", event)
	}
	events.Stop()
	if _, open := <-watched.ResultChan(); open {
		t.Error("the watch is open after the end of the one below")
	}
}

func TestAWatchThatNobodyReadsStops(t *testing.T) {
	events := watch.NewFakeWithChanSize(10, false)
	watched, err := sharesParts{below{watched: events}, newSharing()}.Watch(t.Context(), "", storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	events.Add(pod(1))
	events.Add(pod(2))
	watched.Stop()
	watched.Stop()
	if !events.IsStopped() {
		t.Error("the watch below goes on")
	}
	// To receive would end it, too.
	kit.Eventually(t, "its goroutine is gone", func(context.Context) bool {
		var stacks strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(stacks.String(), "(*sharedWatch).run")
	})
}
