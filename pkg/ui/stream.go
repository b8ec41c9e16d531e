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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// mostWatches is the number of collections in one stream.
	mostWatches = 12
	// mostPending bounds what waits for one browser, in bytes.
	mostPending = 2 << 20
	// batch is the size of one write, in bytes.
	batch = 256 << 10
)

// timing has the intervals of streams.
type timing struct {
	heartbeat time.Duration
	// gather is the time between two writes, in which changes of one object become one.
	gather time.Duration
	// stall bounds a write.
	stall time.Duration
	// first and most bound the time between two attempts, which doubles.
	first, most time.Duration
}

var defaultTiming = timing{heartbeat: 5 * time.Second, gather: 20 * time.Millisecond, stall: 30 * time.Second, first: time.Second, most: 30 * time.Second}

// bound returns a context that ends with the session, too.
func (s *session) bound(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// stream follows collections and writes their changes as lines of JSON.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, s *session) {
	targets, err := streamTargets(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, done := s.bound(r.Context())
	box := newMailbox(mostPending)
	var sources sync.WaitGroup
	defer func() {
		done()
		box.close()
		sources.Wait()
	}()
	for i, t := range targets {
		followed := &source{index: i, target: t, owner: s.owner, box: box, timing: h.timing}
		sources.Go(func() { followed.run(ctx) })
	}
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := &lineWriter{w: w, control: http.NewResponseController(w), stall: h.timing.stall}
	h.write(ctx, out, box, s)
}

// streamTargets returns the collections of a stream.
func streamTargets(rawQuery string) ([]target, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, errors.New("the query cannot be parsed: escape its values")
	}
	watches := query["watch"]
	if delete(query, "watch"); len(query) > 0 || len(watches) == 0 || len(watches) > mostWatches {
		return nil, fmt.Errorf("a stream has 1 to %d parameters watch and no others", mostWatches)
	}
	targets := make([]target, 0, len(watches))
	for _, watch := range watches {
		path, parameters, _ := strings.Cut(watch, "?")
		t, err := parseTarget(path, parameters, true)
		if err != nil {
			return nil, fmt.Errorf("watch=%.100s: %w", path, err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// write writes what the sources find, and a heartbeat, until the context ends or the browser stops reading.
// A browser that reads too slowly makes the sources wait.
func (h *Handler) write(ctx context.Context, out *lineWriter, box *mailbox, s *session) {
	heartbeat := time.NewTicker(h.timing.heartbeat)
	defer heartbeat.Stop()
	out.heartbeat()
	for out.err == nil {
		select {
		case <-ctx.Done():
			out.line("end", context.Cause(ctx).Error())
			out.flush()
			return
		case <-heartbeat.C:
			if h.Sessions.use(ctx, s) != nil {
				continue // which has ended the context
			}
			out.heartbeat()
		case <-box.ready:
			for _, e := range box.take(batch) {
				out.entry(e)
			}
			out.flush()
			select {
			case <-ctx.Done():
			case <-time.After(h.timing.gather):
			}
		}
	}
}

// lineWriter writes lines to a browser.
type lineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	buffer  bytes.Buffer
	err     error
}

func (l *lineWriter) heartbeat() {
	l.line("heartbeat", time.Now().UTC().Format(time.RFC3339Nano))
	l.flush()
}

// line adds a line with one field.
func (l *lineWriter) line(name, value string) {
	text, _ := json.Marshal(value)
	fmt.Fprintf(&l.buffer, "{%q:%s}\n", name, text)
}

func (l *lineWriter) entry(e *entry) {
	if e.kind == "" {
		l.buffer.Write(e.content)
		l.buffer.WriteByte('\n')
		return
	}
	fmt.Fprintf(&l.buffer, `{"s":%d,"e":{"type":%q,"object":`, e.key.source, e.kind)
	if bytes.IndexByte(e.object, '\n') < 0 {
		l.buffer.Write(e.object)
	} else if err := json.Compact(&l.buffer, e.object); err != nil {
		l.err = err
	}
	l.buffer.WriteString("}}\n")
}

// flush writes what was added. A browser that does not read for the time of stall loses the stream.
func (l *lineWriter) flush() {
	if l.err != nil {
		return
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(l.stall))
	if _, l.err = l.w.Write(l.buffer.Bytes()); l.err == nil {
		l.err = l.control.Flush()
	}
	if l.buffer.Reset(); l.buffer.Cap() > 4*batch {
		l.buffer = bytes.Buffer{}
	}
}
