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

package requesttrace

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

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// bookmarkInterval is the interval of bookmarks, as in the library's watch cache. At the same interval a
// watch of all traces checks that its user may still read them.
const bookmarkInterval = time.Minute

// Watch implements rest.Watcher.
func (r *REST) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
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
	w := &watcher{
		rest: r, reader: reader, matches: matcher(options), bookmarks: options.AllowWatchBookmarks,
		events: make(chan watch.Event), done: make(chan struct{}),
	}
	release := r.Source.Follow()
	initial := version == 0
	if options.SendInitialEvents != nil {
		initial = *options.SendInitialEvents
	}
	switch {
	case initial:
		var current uint64
		if current, _ = r.Source.List(func(trace *diagnostics.RequestTrace) {
			if reader.mayRead(trace) && w.matches(trace) {
				w.initial = append(w.initial, trace)
			}
		}); version > current {
			err = expired()
		}
		version = current
	case version == 0:
		version, _ = r.Source.List(func(*diagnostics.RequestTrace) {})
	default:
		if _, _, ok := r.Source.Since(version, func(*diagnostics.RequestTrace, bool, uint64) {}); !ok {
			err = expired()
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	w.endOfInitial = initial && ptr.Deref(options.SendInitialEvents, false) && options.AllowWatchBookmarks
	go func() {
		defer release()
		w.run(ctx, version)
	}()
	return w, nil
}

// watcher reads the source at the speed of the client: a slow one costs no memory, and gets an error
// once it misses changes.
type watcher struct {
	rest         *REST
	reader       reader
	matches      func(*diagnostics.RequestTrace) bool
	bookmarks    bool
	initial      []*diagnostics.RequestTrace
	endOfInitial bool

	events chan watch.Event
	done   chan struct{}
	stop   sync.Once
}

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.stop.Do(func() { close(w.done) }) }

func (w *watcher) run(ctx context.Context, version uint64) {
	defer close(w.events)
	for _, trace := range w.initial {
		if !w.send(ctx, watch.Added, trace) {
			return
		}
	}
	w.initial = nil
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
func (w *watcher) changes(ctx context.Context, version uint64) (last uint64, next <-chan struct{}, ok bool) {
	type event struct {
		kind  watch.EventType
		trace *diagnostics.RequestTrace
	}
	var events []event
	last, next, known := w.rest.Source.Since(version, func(trace *diagnostics.RequestTrace, deleted bool, version uint64) {
		if !w.reader.mayRead(trace) || !w.matches(trace) {
			return
		}
		kind := watch.Added
		if deleted {
			kind = watch.Deleted
			trace.ResourceVersion = strconv.FormatUint(version, 10)
		}
		events = append(events, event{kind, trace})
	})
	if !known {
		status := expired().(apierrors.APIStatus).Status()
		w.sendEvent(ctx, watch.Event{Type: watch.Error, Object: &status})
		return 0, nil, false
	}
	for _, e := range events {
		if !w.send(ctx, e.kind, e.trace) {
			return 0, nil, false
		}
	}
	return last, next, true
}

func (w *watcher) send(ctx context.Context, kind watch.EventType, trace *diagnostics.RequestTrace) bool {
	w.reader.hide(trace)
	return w.sendEvent(ctx, watch.Event{Type: kind, Object: trace})
}

func (w *watcher) bookmark(ctx context.Context, version uint64, annotations map[string]string) bool {
	return w.sendEvent(ctx, watch.Event{Type: watch.Bookmark, Object: &diagnostics.RequestTrace{
		ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10), Annotations: annotations},
	}})
}

func (w *watcher) sendEvent(ctx context.Context, event watch.Event) bool {
	select {
	case w.events <- event:
		return true
	case <-w.done:
	case <-ctx.Done():
	}
	return false
}
