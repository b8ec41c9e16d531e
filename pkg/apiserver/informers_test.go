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
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// namespaceStore is a storage with the methods that an informer needs. It is not ready at first, and
// its watch sends the events of a watch cache with many watchers.
type namespaceStore struct {
	rest.TableConvertor
	asked  atomic.Int32
	events *watch.FakeWatcher
	listed atomic.Pointer[metainternalversion.ListOptions] // the last
}

func (s *namespaceStore) New() runtime.Object     { return &corev1.Namespace{} }
func (s *namespaceStore) NewList() runtime.Object { return &corev1.NamespaceList{} }
func (s *namespaceStore) Destroy()                {}

func (s *namespaceStore) ReadinessCheck() error {
	if s.asked.Add(1) < 3 {
		return errors.New("not yet")
	}
	return nil
}

func (s *namespaceStore) List(_ context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	s.listed.Store(options)
	if s.asked.Load() < 3 {
		return nil, errors.New("listed before it was ready")
	}
	return &corev1.NamespaceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []corev1.Namespace{*namespaceNamed("listed")}}, nil
}

func (s *namespaceStore) Watch(_ context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil && *options.SendInitialEvents {
		return nil, errors.New("list first")
	}
	return s.events, nil
}

func namespaceNamed(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "2"}}
}

// wrapped is an object of a watch cache with many watchers.
type wrapped struct{ *corev1.Namespace }

func (w wrapped) GetObject() runtime.Object { return w.Namespace }

func (w wrapped) CacheEncode(runtime.Identifier, func(runtime.Object, io.Writer) error, io.Writer) error {
	return errors.New("not encoded in this test")
}

func TestInformersReadFromTheStorages(t *testing.T) {
	s := NewStoreInformers()
	informer := s.Factory.Core().V1().Namespaces()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.Factory.Start(ctx.Done())
	defer s.Factory.Shutdown()
	defer cancel()
	if informer.Informer().HasSynced() {
		t.Fatal("an informer without a storage has read something")
	}

	store := &namespaceStore{events: watch.NewFake()}
	storages := map[schema.GroupResource]rest.Storage{}
	for resource := range s.sources {
		storages[resource] = &namespaceStore{events: watch.NewFake()}
	}
	storages[corev1.Resource("namespaces")] = store
	if err := s.bind(storages); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "what was listed is there", func(context.Context) bool {
		_, err := informer.Lister().Get("listed")
		return err == nil
	})
	store.events.Add(wrapped{namespaceNamed("wrapped")})
	store.events.Add(namespaceNamed("plain"))
	for _, name := range []string{"wrapped", "plain"} {
		kit.Eventually(t, "an event reaches the informer: "+name, func(context.Context) bool {
			got, err := informer.Lister().Get(name)
			return err == nil && got.Name == name
		})
	}
}

func TestInformersBeginWithTheWritesOfTheStart(t *testing.T) {
	for name, test := range map[string]struct {
		resource schema.GroupResource
		written  []uint64
		want     string
	}{
		"nothing was written, so what the watch cache has will do": {corev1.Resource("namespaces"), nil, "0"},
		"the last write counts, whichever order they end in":       {corev1.Resource("namespaces"), []uint64{5, 9, 7}, "9"},
		"writes to other resources do not":                         {corev1.Resource("secrets"), []uint64{9}, "0"},
		"nor those to what no informer reads":                      {corev1.Resource("configmaps"), []uint64{9}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStoreInformers()
			s.Factory.Core().V1().Namespaces().Informer()
			for _, version := range test.written {
				s.wrote(test.resource, version)
			}
			store := &namespaceStore{events: watch.NewFake()}
			storages := map[schema.GroupResource]rest.Storage{}
			for resource := range s.sources {
				storages[resource] = &namespaceStore{events: watch.NewFake()}
			}
			storages[corev1.Resource("namespaces")] = store
			if err := s.bind(storages); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer s.Factory.Shutdown()
			defer cancel()
			s.Factory.Start(ctx.Done())
			kit.Eventually(t, "an informer lists", func(context.Context) bool { return store.listed.Load() != nil })
			listed := store.listed.Load()
			if listed.ResourceVersion != test.want {
				t.Errorf("listed from resource version %q, want %q", listed.ResourceVersion, test.want)
			}
			// With a limit and without a match the version would be an exact one, of the past.
			if listed.ResourceVersionMatch != metav1.ResourceVersionMatchNotOlderThan || listed.Limit != 0 {
				t.Errorf("listed with match %q and limit %d, want %q and none", listed.ResourceVersionMatch, listed.Limit, metav1.ResourceVersionMatchNotOlderThan)
			}
		})
	}
}

func TestAnInformerOfAResourceThatIsNotServedFailsTheStart(t *testing.T) {
	if err := NewStoreInformers().bind(map[schema.GroupResource]rest.Storage{}); err == nil {
		t.Error("informers without a storage are no error")
	}
}
