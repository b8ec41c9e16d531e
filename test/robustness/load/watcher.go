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

package load

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gatehouse-dev/gatehouse/test/robustness/api"
	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

// watcher is a client that lists and watches as reflectors do.
type watcher struct {
	load   *Load
	number int
	// at is the server that it uses.
	at int

	mu      sync.Mutex
	streams []*watches.Stream
}

func (w *watcher) run(ctx context.Context) {
	var stream *watches.Stream
	for ctx.Err() == nil {
		client := w.load.client(w.at, w.load.config.WrapWatcher)
		if stream == nil {
			stream = w.begin(ctx, client)
		}
		if stream != nil && w.follow(ctx, client, stream) {
			stream = nil
		}
		client.Close()
		w.at++
		sleep(ctx, backoff)
	}
}

// begin begins a stream with a list; nil if there is no answer.
func (w *watcher) begin(ctx context.Context, client *api.Client) *watches.Stream {
	call := w.load.Recorder.Now()
	request, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	objects, revision, err := client.List(request)
	if err != nil {
		return nil
	}
	number := w.load.config.Writers + w.number
	w.load.recordList(number, client.Name, objects, call)
	w.mu.Lock()
	defer w.mu.Unlock()
	stream := &watches.Stream{
		Watcher: fmt.Sprintf("watcher %d, list %d", w.number, len(w.streams)+1), Start: revision, Initial: objects,
	}
	w.streams = append(w.streams, stream)
	return stream
}

// follow receives events until the watch ends, and reports whether the watcher has to list again.
func (w *watcher) follow(ctx context.Context, client *api.Client, stream *watches.Stream) (relist bool) {
	watch, err := client.Watch(ctx, stream.Last())
	if err != nil {
		return gone(err)
	}
	defer watch.Close()
	w.mu.Lock()
	stream.Watches++
	w.mu.Unlock()
	for {
		event, err := watch.Next()
		if err != nil {
			return gone(err)
		}
		event.Server, event.At = client.Name, w.load.Recorder.Now()
		w.mu.Lock()
		stream.Events = append(stream.Events, event)
		w.mu.Unlock()
	}
}

// gone reports whether the error demands another list.
func gone(err error) bool {
	var status *api.StatusError
	return errors.As(err, &status) && status.Code == api.Gone
}

// reached reports whether the last stream has the objects.
func (w *watcher) reached(final map[string]watches.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.streams) > 0 && watches.Reached(w.streams[len(w.streams)-1], final)
}

func (w *watcher) describe() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams) == 0 {
		return fmt.Sprintf("watcher %d has never had a list", w.number)
	}
	stream := w.streams[len(w.streams)-1]
	return fmt.Sprintf("%s, at %d after %d events", stream.Watcher, stream.Last(), len(stream.Events))
}
