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

package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// source follows one collection: it lists and watches, resumes at the last resource version, and begins
// again if that has expired.
type source struct {
	index  int
	target target
	owner  Owner
	box    *mailbox
	timing timing

	// version is the resource version at which the next watch begins; empty to begin with the objects.
	version string
	// begun is true once the browser may have objects.
	begun bool
	// listFirst is true for a server that sends no initial events.
	listFirst bool
	// failing is true while the browser shows an error.
	failing bool
}

var (
	// errExpired is the end of a watch whose resource version is too old.
	errExpired = errors.New("the resource version has expired")
	// errListFirst is the refusal of initial events.
	errListFirst = errors.New("the server sends no initial events")
)

// reasonUnreachable is the reason of errors that are not the API server's.
const reasonUnreachable = "Unreachable"

func unreachable(err error) status {
	if s := (status{}); errors.As(err, &s) {
		return s
	}
	return status{Code: http.StatusServiceUnavailable, Reason: reasonUnreachable, Message: err.Error()}.bounded()
}

// run follows until the context ends.
func (s *source) run(ctx context.Context) {
	pause := s.timing.first
	for ctx.Err() == nil {
		begun := time.Now()
		err := s.follow(ctx)
		if time.Since(begun) > s.timing.most {
			pause = s.timing.first
		}
		wait := pause
		failed := status{}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errListFirst):
			s.listFirst, wait = true, 0
		case errors.Is(err, errExpired):
			s.version = ""
			pause = min(2*pause, s.timing.most)
		case err == nil, errors.Is(err, io.EOF):
			// Servers end watches after some minutes; one that ends them at once is not asked in a loop.
			pause = min(2*pause, s.timing.most)
			if time.Since(begun) > s.timing.first {
				wait, pause = 0, s.timing.first
			}
		default:
			failed = unreachable(err)
			s.fail(failed)
			pause = min(2*pause, s.timing.most)
		}
		switch failed.Code {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
			// What the browser has is not its to see any more, or is gone.
			s.version, wait = "", s.timing.most
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow lists if needed and watches, until the watch ends.
func (s *source) follow(ctx context.Context) error {
	if s.version != "" {
		return s.watch(ctx, url.Values{"resourceVersion": {s.version}})
	}
	if s.begun {
		s.box.reset(s.index, s.content(map[string]any{"reset": true}))
	}
	if !s.listFirst {
		return s.watch(ctx, url.Values{"sendInitialEvents": {"true"}, "resourceVersionMatch": {"NotOlderThan"}})
	}
	version, err := s.list(ctx)
	if err != nil {
		return err
	}
	s.version = version
	s.synced()
	return s.watch(ctx, url.Values{"resourceVersion": {s.version}})
}

// get sends a request with further parameters.
func (s *source) get(ctx context.Context, parameters url.Values) (*http.Response, error) {
	query := maps.Clone(s.target.query)
	maps.Copy(query, parameters)
	response, err := s.owner.request(ctx, http.MethodGet, s.target.path, query.Encode(), mediaJSON, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	content, _ := io.ReadAll(io.LimitReader(response.Body, longestError))
	refused := statusOf(response.StatusCode, content)
	switch initial := parameters.Has("sendInitialEvents"); {
	case response.StatusCode == http.StatusGone:
		return nil, errExpired
	case initial && (response.StatusCode == http.StatusUnprocessableEntity || response.StatusCode == http.StatusBadRequest):
		return nil, errListFirst
	}
	return nil, refused
}

// pageSize is the number of objects in one page of a list.
const pageSize = "100"

// list adds the objects and returns their resource version.
func (s *source) list(ctx context.Context) (string, error) {
	next := ""
	for {
		parameters := url.Values{"limit": {pageSize}}
		if next != "" {
			parameters.Set("continue", next)
		}
		response, err := s.get(ctx, parameters)
		if err != nil {
			return "", err
		}
		var page struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
				Continue        string `json:"continue"`
			} `json:"metadata"`
			Items []json.RawMessage `json:"items"`
		}
		err = json.NewDecoder(io.LimitReader(response.Body, longestPage)).Decode(&page)
		_ = response.Body.Close()
		if err != nil {
			return "", fmt.Errorf("the list cannot be read: %w", err)
		}
		for _, item := range page.Items {
			if _, err := s.change(added, item); err != nil {
				return "", err
			}
		}
		if next = page.Metadata.Continue; next == "" {
			return page.Metadata.ResourceVersion, nil
		}
	}
}

// Bounds of what a server sends, in bytes.
const (
	longestPage  = 32 << 20
	longestEvent = 4 << 20
)

// object has what a stream needs of an object.
type object struct {
	Metadata struct {
		UID             string            `json:"uid"`
		Namespace       string            `json:"namespace"`
		Name            string            `json:"name"`
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// initialEventsEnd is the annotation of the bookmark after the initial events.
const initialEventsEnd = "k8s.io/initial-events-end"

// watch adds the changes until the watch ends.
func (s *source) watch(ctx context.Context, parameters url.Values) error {
	parameters.Set("watch", "true")
	parameters.Set("allowWatchBookmarks", "true")
	response, err := s.get(ctx, parameters)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	initial := parameters.Has("sendInitialEvents")
	if !initial && s.failing {
		s.synced() // the browser shows an error
	}
	body := &limited{from: response.Body, left: longestEvent}
	events := json.NewDecoder(body)
	for {
		body.left = longestEvent
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			return err
		}
		found, err := s.change(event.Type, event.Object)
		if err != nil {
			return err
		}
		if initial && found.Metadata.Annotations[initialEventsEnd] == "true" {
			initial = false
			s.synced()
		}
		// A version among the initial events is none to resume at.
		if !initial && found.Metadata.ResourceVersion != "" {
			s.version = found.Metadata.ResourceVersion
		}
	}
}

// change adds one event.
func (s *source) change(kind string, content json.RawMessage) (object, error) {
	var found object
	if err := json.Unmarshal(content, &found); err != nil {
		return found, fmt.Errorf("an event cannot be read: %w", err)
	}
	switch kind {
	case added, modified, deleted:
	case "BOOKMARK":
		return found, nil
	default: // ERROR
		failed := status{}
		_ = json.Unmarshal(content, &failed)
		if failed.Code == http.StatusGone {
			return found, errExpired
		}
		return found, statusOf(failed.Code, content)
	}
	id := found.Metadata.UID
	if id == "" {
		id = found.Metadata.Namespace + "/" + found.Metadata.Name
	}
	content, err := withhold(content)
	if err != nil {
		return found, fmt.Errorf("an event cannot be read: %w", err)
	}
	s.begun = true
	if !s.box.event(s.index, kind, "object "+id, content) {
		return found, context.Canceled
	}
	return found, nil
}

// content returns a line of the source.
func (s *source) content(fields map[string]any) []byte {
	fields["s"] = s.index
	line, _ := json.Marshal(fields)
	return line
}

func (s *source) synced() {
	s.failing, s.begun = false, true
	s.box.line(s.index, "synced", s.content(map[string]any{"synced": true}))
}

func (s *source) fail(err status) {
	s.failing = true
	s.box.line(s.index, "error", s.content(map[string]any{"error": err}))
}

// limited is a reader of a bounded number of bytes, which its user may renew.
type limited struct {
	from io.Reader
	left int
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("an event has more than %d bytes", longestEvent)
	}
	n, err := l.from.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
