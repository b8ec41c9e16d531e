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
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// WatchObserver has the functions that are called when the watch of a request begins and ends, in the
// goroutine that reads its events.
type WatchObserver struct {
	// Began is called when the storage has begun the watch.
	Began func()
	// TimedOut is called when the watch is stopped because its time is over, and Terminated when it is
	// stopped because the storage has ended it. Neither is called when it is stopped for another reason.
	TimedOut, Terminated func()
}

type watchObserverKey struct{}

// WithWatchObserver returns the context of a request whose watch is observed.
func WithWatchObserver(ctx context.Context, observer *WatchObserver) context.Context {
	return context.WithValue(ctx, watchObserverKey{}, observer)
}

// ObservedWatch returns a watch of a storage that is observed if the context has an observer. Storages other
// than Store call it.
func ObservedWatch(ctx context.Context, w watch.Interface) watch.Interface {
	observer, ok := ctx.Value(watchObserverKey{}).(*WatchObserver)
	if !ok {
		return w
	}
	observer.Began()
	return &observedWatch{Interface: w, ctx: ctx, observer: observer}
}

// observedWatch passes the channel of the watch on, because a copy of its events would need a goroutine.
type observedWatch struct {
	watch.Interface
	ctx      context.Context
	observer *WatchObserver
	stop     sync.Once
}

// Stop implements watch.Interface. The library calls it when it has ceased to read events.
func (w *observedWatch) Stop() {
	w.stop.Do(func() {
		switch err := w.ctx.Err(); {
		case errors.Is(err, context.DeadlineExceeded):
			w.observer.TimedOut()
		case err == nil:
			select {
			case _, open := <-w.ResultChan():
				if !open {
					w.observer.Terminated()
				}
			default:
			}
		}
	})
	w.Interface.Stop()
}
