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

package watches

import (
	"bytes"
	"net/http"
)

// writer records the writes of a watch.
type writer struct {
	http.ResponseWriter
	flusher http.Flusher
	session *session
	// pending is true if a compressed watch has written since the last flush.
	pending bool
}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(code int) {
	if w.Header().Get("Content-Encoding") != "" {
		w.session.compressed.Store(true)
	}
	if code < http.StatusBadRequest {
		w.session.registry.begin(w.session)
	} else {
		w.session.refused = true
	}
	w.ResponseWriter.WriteHeader(code)
}

// lengthPrefix is the size of the length that precedes each event in protobuf, in a write of its own.
const lengthPrefix = 4

// The beginnings of an event of type ERROR.
var (
	errorInJSON     = []byte(`{"type":"ERROR"`)
	errorInProtobuf = []byte("\x0a\x05ERROR")
)

// Write implements http.ResponseWriter. The server writes each event at once, except for its length.
func (w *writer) Write(p []byte) (int, error) {
	s := w.session
	if s.refused {
		return w.ResponseWriter.Write(p)
	}
	s.registry.begin(s)
	s.beginWrite()
	n, err := w.ResponseWriter.Write(p)
	s.endWrite(err)
	s.bytes.Add(int64(n))
	switch {
	case s.compressed.Load():
		w.pending = true
	case len(p) > lengthPrefix && err == nil:
		s.events.Add(1)
		s.run++
		if bytes.HasPrefix(p, errorInJSON) || bytes.HasPrefix(p, errorInProtobuf) {
			s.failed = sentError
		}
	}
	return n, err
}

// Flush implements http.Flusher.
func (w *writer) Flush() {
	s := w.session
	if s.refused {
		w.flusher.Flush()
		return
	}
	s.registry.begin(s)
	s.beginWrite()
	w.flusher.Flush()
	s.endWrite(nil)
	if s.run > 0 {
		s.lastRun, s.run = s.run, 0
	}
	if w.pending {
		w.pending = false
		s.events.Add(1)
	}
}
