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

package base

import (
	"context"
	"net/http"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
)

// streamParameter requests the initial events of a watch as a stream (KEP-3157).
const streamParameter = "sendInitialEvents"

type streamRequestedKey struct{}

// WithStreamRequested marks the requests with the parameter sendInitialEvents. The library also sets
// the option on every watch without a resourceVersion (SetListOptionsDefaults in
// k8s.io/apimachinery/pkg/apis/meta/internalversion), so the options do not show whether the client
// sent it.
func WithStreamRequested(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, streamParameter) {
			r = r.WithContext(StreamRequested(r.Context()))
		}
		handler.ServeHTTP(w, r)
	})
}

// StreamRequested returns the context of a request with the parameter sendInitialEvents.
func StreamRequested(ctx context.Context) context.Context {
	return context.WithValue(ctx, streamRequestedKey{}, true)
}

// Watch reads the initial events of an exact match on the watch index from the index. The watch
// cache would read every object of the resource for them, once for each watcher.
//
// A request for a stream of initial events with sendInitialEvents is refused instead: after every
// error that is not retriable, client-go's reflectors fall back to LIST and WATCH, which both use
// the index (k8s.io/client-go/tools/cache/reflector.go), and the LIST is encoded once instead of
// event by event. A server without the feature also returns 422.
func (s *Store) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	var watcher watch.Interface
	var err error
	switch {
	case !s.matchesIndex(options) || !wantsInitialEvents(options):
		watcher, err = s.Store.Watch(ctx, options)
	case ctx.Value(streamRequestedKey{}) != nil:
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "ListOptions"}, "", field.ErrorList{
			field.Forbidden(field.NewPath(streamParameter), "not together with an exact match on "+s.watchIndex+": list with the same selector, then watch from the list's resourceVersion"),
		})
	default:
		watcher, err = s.listThenWatch(ctx, options)
	}
	if err != nil {
		return nil, invalidIsBadRequest(err)
	}
	return ObservedWatch(ctx, watcher), nil
}

// matchesIndex reports whether the selector is an exact match on a value of the watch index. The
// empty value is excluded: it selects all objects without a value, which may be many.
func (s *Store) matchesIndex(options *metainternalversion.ListOptions) bool {
	if s.watchIndex == "" || options == nil || options.FieldSelector == nil {
		return false
	}
	value, exact := options.FieldSelector.RequiresExactMatch(s.watchIndex)
	return exact && value != ""
}

// wantsInitialEvents reports whether the watch begins with an event for each existing object:
// because of the option, or because there is no resourceVersion to begin at.
func wantsInitialEvents(options *metainternalversion.ListOptions) bool {
	if options.SendInitialEvents != nil {
		return *options.SendInitialEvents
	}
	return options.ResourceVersion == "" || options.ResourceVersion == "0"
}

// listThenWatch sends ADDED events for the items of a LIST and continues with a watch from its
// resourceVersion. If the client allows bookmarks, one marks the end of the initial events, as in
// the watch cache.
func (s *Store) listThenWatch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	list, err := s.List(ctx, &metainternalversion.ListOptions{
		LabelSelector: options.LabelSelector, FieldSelector: options.FieldSelector, ResourceVersion: options.ResourceVersion,
	})
	if err != nil {
		return nil, err
	}
	listMeta, err := apimeta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	var initial []watch.Event
	if err := apimeta.EachListItem(list, func(obj runtime.Object) error {
		// The items share memory with the watch cache, and a watch may modify the objects that it sends.
		initial = append(initial, watch.Event{Type: watch.Added, Object: obj.DeepCopyObject()})
		return nil
	}); err != nil {
		return nil, err
	}
	if options.AllowWatchBookmarks {
		end := s.New()
		object, err := apimeta.Accessor(end)
		if err != nil {
			return nil, err
		}
		object.SetResourceVersion(listMeta.GetResourceVersion())
		object.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		initial = append(initial, watch.Event{Type: watch.Bookmark, Object: end})
	}
	live, err := s.Store.Watch(ctx, &metainternalversion.ListOptions{
		LabelSelector: options.LabelSelector, FieldSelector: options.FieldSelector,
		ResourceVersion: listMeta.GetResourceVersion(), AllowWatchBookmarks: options.AllowWatchBookmarks,
	})
	if err != nil {
		return nil, err
	}
	w := &prefixedWatch{live: live, events: make(chan watch.Event), done: make(chan struct{})}
	go w.run(ctx, initial)
	return w, nil
}

// prefixedWatch is a watch that sends initial events before those of another watch.
type prefixedWatch struct {
	live   watch.Interface
	events chan watch.Event
	done   chan struct{}
	stop   sync.Once
}

// run sends the initial events and then those of the other watch, until that watch or the context
// ends or Stop is called.
func (w *prefixedWatch) run(ctx context.Context, initial []watch.Event) {
	defer close(w.events)
	defer w.live.Stop()
	send := func(event watch.Event) bool {
		select {
		case w.events <- event:
			return true
		case <-w.done:
		case <-ctx.Done():
		}
		return false
	}
	for _, event := range initial {
		if !send(event) {
			return
		}
	}
	for {
		select {
		case event, ok := <-w.live.ResultChan():
			if !ok || !send(event) {
				return
			}
		case <-w.done:
			return
		}
	}
}

// ResultChan implements watch.Interface.
func (w *prefixedWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *prefixedWatch) Stop() { w.stop.Do(func() { close(w.done) }) }
