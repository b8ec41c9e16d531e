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
	"encoding/json"
	"sync"
)

// Types of events.
const (
	added    = "ADDED"
	modified = "MODIFIED"
	deleted  = "DELETED"
)

// mailbox holds the lines that a browser has not read yet. The bytes are bounded: a change replaces an
// earlier one of the same object, and a source waits for space while it is full, so that the API server
// notices the slow reader.
type mailbox struct {
	limit int
	// ready has a value while there are lines.
	ready chan struct{}

	mu     sync.Mutex
	space  sync.Cond
	bytes  int
	closed bool
	// latest has the newest entry of each key in lines.
	lines  []*entry
	latest map[key]*entry
}

// key identifies what a later entry replaces: an object of a source, or its error.
type key struct {
	source int
	object string
}

// entry is a line to be written.
type entry struct {
	key  key
	gone bool
	// kind and object are for an event. Any other line has content.
	kind    string
	object  json.RawMessage
	content []byte
}

func (e *entry) size() int { return len(e.object) + len(e.content) + entryCost }

// entryCost is what an entry needs besides its content, in bytes.
const entryCost = 128

func newMailbox(limit int) *mailbox {
	m := &mailbox{limit: limit, ready: make(chan struct{}, 1), latest: map[key]*entry{}}
	m.space.L = &m.mu
	return m
}

// event adds a change of an object, after a wait for space. It returns false if the mailbox is closed.
func (m *mailbox) event(source int, kind, object string, content json.RawMessage) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key{source, object}
	for !m.closed {
		earlier := m.latest[k]
		freed := 0
		if earlier != nil && earlier.kind != deleted {
			freed = earlier.size()
		}
		if m.bytes == 0 || m.bytes-freed+len(content)+entryCost <= m.limit {
			m.merge(k, earlier, kind, content)
			return true
		}
		m.space.Wait()
	}
	return false
}

// merge adds a change or puts it in place of an earlier one that is not read; the lock is held.
func (m *mailbox) merge(k key, earlier *entry, kind string, content json.RawMessage) {
	switch {
	case earlier == nil || earlier.kind == deleted:
		m.add(&entry{key: k, kind: kind, object: content})
	case earlier.kind == added && kind == deleted:
		m.remove(earlier) // the browser has seen neither
	default:
		m.bytes += len(content) - len(earlier.object)
		earlier.object = content
		if kind == deleted {
			earlier.kind = deleted
		}
	}
}

// line adds another line of a source. It does not wait: what names the same object is replaced, so there
// are few.
func (m *mailbox) line(source int, object string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key{source, object}
	if earlier := m.latest[k]; earlier != nil {
		m.remove(earlier)
	}
	m.add(&entry{key: k, content: content})
}

// reset drops what waits of a source, and adds a line.
func (m *mailbox) reset(source int, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.lines {
		if e.key.source == source && !e.gone {
			m.remove(e)
		}
	}
	m.add(&entry{key: key{source, "reset"}, content: content})
}

// add and remove change the content; the lock is held.
func (m *mailbox) add(e *entry) {
	m.compact()
	m.lines, m.latest[e.key] = append(m.lines, e), e
	m.bytes += e.size()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) remove(e *entry) {
	e.gone = true
	m.bytes -= e.size()
	e.object, e.content = nil, nil
	delete(m.latest, e.key)
	m.space.Broadcast()
}

// compact bounds the number of entries that are gone.
func (m *mailbox) compact() {
	if len(m.lines) < 1024 || len(m.lines) < 2*len(m.latest) {
		return
	}
	kept := m.lines[:0]
	for _, e := range m.lines {
		if !e.gone {
			kept = append(kept, e)
		}
	}
	clear(m.lines[len(kept):])
	m.lines = kept
}

// take returns the entries that wait, in order, up to a number of bytes.
func (m *mailbox) take(most int) []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	var taken []*entry
	n, size := 0, 0
	for ; n < len(m.lines) && size < most; n++ {
		e := m.lines[n]
		if e.gone {
			continue
		}
		taken = append(taken, e)
		size += e.size()
		if m.latest[e.key] == e {
			delete(m.latest, e.key)
		}
	}
	m.bytes -= size
	m.lines = append([]*entry(nil), m.lines[n:]...)
	if len(m.lines) > 0 {
		select {
		case m.ready <- struct{}{}:
		default:
		}
	}
	m.space.Broadcast()
	return taken
}

// close ends the waits for space.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.space.Broadcast()
}
