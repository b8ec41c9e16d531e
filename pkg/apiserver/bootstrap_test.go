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
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// configMapStore is an in-memory storage with the methods that bootstrap objects need.
type configMapStore struct {
	mu      sync.Mutex
	objects map[string]*corev1.ConfigMap
	writes  int
	// late are objects that another server creates between a Get and a Create.
	late map[string]*corev1.ConfigMap
	// timeouts is the number of creates that time out after the write.
	timeouts int
}

func (s *configMapStore) New() runtime.Object { return &corev1.ConfigMap{} }
func (s *configMapStore) Destroy()            {}

func (s *configMapStore) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object, ok := s.objects[request.NamespaceValue(ctx)+"/"+name]; ok {
		return object.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
}

func (s *configMapStore) Create(ctx context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object := obj.(*corev1.ConfigMap)
	key := request.NamespaceValue(ctx) + "/" + object.Name
	if other, ok := s.late[key]; ok {
		s.objects[key] = other
		return nil, apierrors.NewAlreadyExists(corev1.Resource("configmaps"), object.Name)
	}
	if object.Labels["broken"] != "" {
		return nil, fmt.Errorf("no space for %s", object.Name)
	}
	s.objects[key] = object
	s.writes++
	if s.timeouts > 0 {
		s.timeouts--
		return nil, apierrors.NewTimeoutError("etcdserver: request timed out", 0)
	}
	return object, nil
}

func (s *configMapStore) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, _ rest.ValidateObjectUpdateFunc, _ bool, _ *metav1.UpdateOptions) (runtime.Object, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := request.NamespaceValue(ctx) + "/" + name
	changed, err := info.UpdatedObject(ctx, s.objects[key])
	if err != nil {
		return nil, false, err
	}
	s.objects[key] = changed.(*corev1.ConfigMap)
	s.writes++
	return changed, false, nil
}

func TestBootstrapObjects(t *testing.T) {
	config := func(name, value string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Data: map[string]string{"k": value}}
	}
	setTo := func(value string) func(runtime.Object) bool {
		return func(existing runtime.Object) bool {
			changed := existing.(*corev1.ConfigMap).Data["k"] != value
			existing.(*corev1.ConfigMap).Data["k"] = value
			return changed
		}
	}
	for name, test := range map[string]struct {
		stored, late *corev1.ConfigMap
		reconcile    func(runtime.Object) bool
		want         string
		writes       int
	}{
		"what is missing is created":                     {nil, nil, nil, "new", 1},
		"what exists is left alone":                      {config("a", "theirs"), nil, nil, "theirs", 0},
		"what exists is reconciled where that is wanted": {config("a", "theirs"), nil, setTo("ours"), "ours", 1},
		"what is right already is not written":           {config("a", "ours"), nil, setTo("ours"), "ours", 0},
		"another server may be first":                    {nil, config("a", "theirs"), nil, "theirs", 0},
		"and its object is reconciled, too":              {nil, config("a", "theirs"), setTo("ours"), "ours", 1},
	} {
		t.Run(name, func(t *testing.T) {
			const key = "kube-system/a"
			store := &configMapStore{objects: map[string]*corev1.ConfigMap{}, late: map[string]*corev1.ConfigMap{}}
			if test.stored != nil {
				store.objects[key] = test.stored
			}
			if test.late != nil {
				store.late[key] = test.late
			}
			given := config("a", "new")
			server := &Server{
				informers: NewStoreInformers(),
				storages:  map[schema.GroupResource]rest.Storage{corev1.Resource("configmaps"): store},
				bootstrap: []BootstrapObject{{Resource: corev1.Resource("configmaps"), Object: given, Reconcile: test.reconcile}},
			}
			if err := server.writeBootstrapObjects(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := store.objects[key].Data["k"]; got != test.want || store.writes != test.writes {
				t.Errorf("got %q after %d writes, want %q after %d", got, store.writes, test.want, test.writes)
			}
			if store.objects[key] == given {
				t.Error("the storage received the caller's object, which it changes")
			}
		})
	}
}

func TestABootstrapObjectIsRetriedAfterATimeoutOfEtcd(t *testing.T) {
	before := bootstrapRetry
	t.Cleanup(func() { bootstrapRetry = before })
	bootstrapRetry.Duration = time.Millisecond
	store := &configMapStore{objects: map[string]*corev1.ConfigMap{}, timeouts: 1}
	server := &Server{
		informers: NewStoreInformers(),
		storages:  map[schema.GroupResource]rest.Storage{corev1.Resource("configmaps"): store},
		bootstrap: []BootstrapObject{{Resource: corev1.Resource("configmaps"), Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}},
	}
	if err := server.writeBootstrapObjects(t.Context()); err != nil {
		t.Fatal(err)
	}
	if store.writes != 1 || len(store.objects) != 1 {
		t.Errorf("%d writes of %d objects", store.writes, len(store.objects))
	}
}

func TestEveryBootstrapObjectThatFailsIsNamed(t *testing.T) {
	store := &configMapStore{objects: map[string]*corev1.ConfigMap{}}
	broken := func(name string) BootstrapObject {
		return BootstrapObject{Resource: corev1.Resource("configmaps"), Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"broken": "yes"}}}}
	}
	server := &Server{
		storages:  map[schema.GroupResource]rest.Storage{corev1.Resource("configmaps"): store},
		bootstrap: []BootstrapObject{broken("first"), {Resource: corev1.Resource("nothings"), Object: &corev1.ConfigMap{}}, broken("second")},
	}
	err := server.writeBootstrapObjects(t.Context())
	if err == nil {
		t.Fatal("nothing failed")
	}
	for _, want := range []string{"first", "second", "nothings"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}
