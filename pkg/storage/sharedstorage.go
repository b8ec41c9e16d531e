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
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// sharesParts is a storage below a watch cache, and nowhere else: what it reads goes into the cache, whose objects
// nobody changes. Equal parts of these objects are the same memory.
type sharesParts struct {
	storage.Interface
	parts *sharing
}

// Unwrap returns the storage below.
func (s sharesParts) Unwrap() storage.Interface { return s.Interface }

// GetList implements storage.Interface.
func (s sharesParts) GetList(ctx context.Context, key string, options storage.ListOptions, list runtime.Object) error {
	err := s.Interface.GetList(ctx, key, options, list)
	if err == nil {
		s.parts.list(list)
	}
	return err
}

// Watch implements storage.Interface.
func (s sharesParts) Watch(ctx context.Context, key string, options storage.ListOptions) (watch.Interface, error) {
	watched, err := s.Interface.Watch(ctx, key, options)
	if err != nil {
		return nil, err
	}
	return newSharedWatch(watched, s.parts), nil
}

// sharedWatch shares the parts of the objects of events. It differs from watch.Filter in that Stop ends it while nobody
// receives.
type sharedWatch struct {
	watch.Interface
	parts  *sharing
	events chan watch.Event
	done   chan struct{}
	stop   func()
}

func newSharedWatch(below watch.Interface, parts *sharing) *sharedWatch {
	w := &sharedWatch{Interface: below, parts: parts, events: make(chan watch.Event), done: make(chan struct{})}
	w.stop = sync.OnceFunc(func() {
		close(w.done)
		below.Stop()
	})
	go w.run()
	return w
}

func (w *sharedWatch) run() {
	defer close(w.events)
	for event := range w.Interface.ResultChan() {
		switch event.Type {
		case watch.Added, watch.Modified, watch.Deleted:
			object := event.Object
			if timed, ok := object.(storage.WatchEventWithRecordTime); ok {
				object = timed.Unwrap()
			}
			w.parts.object(object)
		}
		select {
		case w.events <- event:
		case <-w.done:
			return
		}
	}
}

// ResultChan implements watch.Interface.
func (w *sharedWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *sharedWatch) Stop() { w.stop() }
