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

package virtual

import (
	"context"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// bookmarkInterval is the interval of bookmarks, as in the library's watch cache. At the same interval a
// watch of the objects of all users checks that its user may still read them.
const bookmarkInterval = time.Minute

// Watch implements rest.Watcher.
func (r *REST[T]) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	reader, err := r.readerOf(ctx)
	if err != nil {
		return nil, err
	}
	version, err := parseVersion(options.ResourceVersion)
	if err != nil {
		return nil, err
	}
	w := &watcher[T]{
		rest: r, reader: reader, matches: r.matcher(options), bookmarks: options.AllowWatchBookmarks,
		events: make(chan watch.Event), done: make(chan struct{}),
	}
	if r.selectsByState(options) {
		w.sent = map[string]bool{}
	}
	initial := version == 0
	if options.SendInitialEvents != nil {
		initial = *options.SendInitialEvents
	}
	release := r.kind.Source.Follow()
	if version, err = w.begin(version, initial); err != nil {
		release()
		return nil, err
	}
	w.naming = !initial && options.AllowWatchBookmarks && r.kind.Mark != nil
	w.endOfInitial = initial && ptr.Deref(options.SendInitialEvents, false) && options.AllowWatchBookmarks
	go func() {
		defer release()
		w.run(ctx, version)
	}()
	return base.ObservedWatch(ctx, w), nil
}

// selectsByState reports whether objects may begin and cease to match the field selector.
func (r *REST[T]) selectsByState(options *metainternalversion.ListOptions) bool {
	if options.FieldSelector == nil {
		return false
	}
	for _, requirement := range options.FieldSelector.Requirements() {
		for _, changing := range r.kind.Changing {
			if requirement.Field == changing {
				return true
			}
		}
	}
	return false
}

// watcher reads the source at the speed of the client: a slow one costs no memory, and gets an error
// once it misses changes.
type watcher[T Object] struct {
	rest         *REST[T]
	reader       reader[T]
	matches      func(T) bool
	bookmarks    bool
	initial      []T
	endOfInitial bool
	// naming is true if the watch begins with a bookmark that names the server.
	naming bool
	// sent has the names of objects, and whether the client has each of them; nil if an object matches the
	// selector during its whole life or never.
	sent map[string]bool

	events chan watch.Event
	done   chan struct{}
	stop   sync.Once
}

// begin reads the present objects and returns the version after which changes are sent.
func (w *watcher[T]) begin(version uint64, initial bool) (uint64, error) {
	current, _ := w.rest.kind.Source.List(func(object T) {
		if !w.reader.mayRead(object) {
			return
		}
		matches := w.matches(object)
		if initial && matches {
			w.initial = append(w.initial, object)
		}
		if w.sent != nil && (initial || VersionOf(object) <= version) {
			w.sent[object.GetName()] = matches
		}
	})
	switch {
	case version > current:
		return 0, w.rest.expired()
	case initial, version == 0:
		return current, nil
	}
	if _, _, ok := w.rest.kind.Source.Since(version, func(T, watch.EventType, uint64) {}); !ok {
		return 0, w.rest.expired()
	}
	return version, nil
}

// ResultChan implements watch.Interface.
func (w *watcher[T]) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *watcher[T]) Stop() { w.stop.Do(func() { close(w.done) }) }

func (w *watcher[T]) run(ctx context.Context, version uint64) {
	defer close(w.events)
	for _, object := range w.initial {
		if !w.send(ctx, watch.Added, object) {
			return
		}
	}
	w.initial = nil
	if w.naming && !w.bookmark(ctx, version, nil) {
		return
	}
	if w.endOfInitial && !w.bookmark(ctx, version, map[string]string{metav1.InitialEventsAnnotationKey: "true"}) {
		return
	}
	ticker := time.NewTicker(bookmarkInterval)
	defer ticker.Stop()
	for {
		last, next, ok := w.changes(ctx, version)
		if !ok {
			return
		}
		version = last
		select {
		case <-next:
		case <-ticker.C:
			if w.reader.all && !w.rest.mayReadAll(ctx, w.reader.user) {
				return
			}
			if w.bookmarks && !w.bookmark(ctx, version, nil) {
				return
			}
		case <-w.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// changes sends the changes after a version. ok is false at the end of the watch.
func (w *watcher[T]) changes(ctx context.Context, version uint64) (last uint64, next <-chan struct{}, ok bool) {
	type event struct {
		kind   watch.EventType
		object T
	}
	var events []event
	last, next, known := w.rest.kind.Source.Since(version, func(object T, kind watch.EventType, version uint64) {
		if !w.reader.mayRead(object) {
			return
		}
		if kind = w.kindFor(object, kind); kind == "" {
			return
		}
		if kind == watch.Deleted {
			object.SetResourceVersion(strconv.FormatUint(version, 10))
		}
		events = append(events, event{kind, object})
	})
	if !known {
		status := w.rest.expired().(apierrors.APIStatus).Status()
		w.sendEvent(ctx, watch.Event{Type: watch.Error, Object: &status})
		return 0, nil, false
	}
	for _, e := range events {
		if !w.send(ctx, e.kind, e.object) {
			return 0, nil, false
		}
	}
	return last, next, true
}

// kindFor returns the kind of the event that a change is for the client; empty for none. An object that
// begins to match the selector is added, and one that ceases to match it is deleted.
func (w *watcher[T]) kindFor(object T, kind watch.EventType) watch.EventType {
	matches := w.matches(object)
	if w.sent == nil {
		if !matches {
			return ""
		}
		return kind
	}
	had, known := w.sent[object.GetName()]
	if !known {
		had = kind != watch.Added // a change after the version at which the client began
	}
	if kind == watch.Deleted {
		delete(w.sent, object.GetName())
		matches = false
	} else {
		w.sent[object.GetName()] = matches
	}
	switch {
	case had && matches:
		return watch.Modified
	case matches:
		return watch.Added
	case had:
		return watch.Deleted
	}
	return ""
}

func (w *watcher[T]) send(ctx context.Context, kind watch.EventType, object T) bool {
	w.reader.hide(object)
	return w.sendEvent(ctx, watch.Event{Type: kind, Object: object})
}

func (w *watcher[T]) bookmark(ctx context.Context, version uint64, annotations map[string]string) bool {
	object := w.rest.kind.New()
	object.SetResourceVersion(strconv.FormatUint(version, 10))
	object.SetAnnotations(annotations)
	if w.rest.kind.Mark != nil {
		w.rest.kind.Mark(object)
	}
	return w.sendEvent(ctx, watch.Event{Type: watch.Bookmark, Object: object})
}

func (w *watcher[T]) sendEvent(ctx context.Context, event watch.Event) bool {
	select {
	case w.events <- event:
		return true
	case <-w.done:
	case <-ctx.Done():
	}
	return false
}
