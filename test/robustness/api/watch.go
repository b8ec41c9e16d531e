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

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

// Gone is the code with which a server refuses a resource version that is too old: the client has
// to list again.
const Gone = http.StatusGone

// Watch is an open watch.
type Watch struct {
	response *http.Response
	decoder  *json.Decoder
}

// Watch opens a watch from a resource version. The context bounds the whole watch.
func (c *Client) Watch(ctx context.Context, from int64) (*Watch, error) {
	response, err := c.send(ctx, http.MethodGet, fmt.Sprintf("%s%s&watch=true&allowWatchBookmarks=true&resourceVersion=%d", collection, selector, from), nil)
	if err != nil {
		return nil, err
	}
	if err := statusOf(response); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return &Watch{response: response, decoder: json.NewDecoder(response.Body)}, nil
}

// Next returns the next event. The error of an event of type ERROR is a *StatusError; after any
// error the watch is over.
func (w *Watch) Next() (watches.Event, error) {
	var event struct {
		Type   watches.Type `json:"type"`
		Object configMap    `json:"object"`
	}
	if err := w.decoder.Decode(&event); err != nil {
		return watches.Event{}, err
	}
	switch event.Type {
	case watches.Added, watches.Modified, watches.Deleted, watches.Bookmark:
		return watches.Event{Type: event.Type, Object: event.Object.object()}, nil
	}
	return watches.Event{}, &StatusError{Code: event.Object.Code, Reason: event.Object.Reason, Message: event.Object.Message}
}

// Close ends the watch.
func (w *Watch) Close() { _ = w.response.Body.Close() }
