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
	"fmt"
	"slices"
	"strings"
	"testing"
)

// script returns what a browser gets, one word for a line.
func script(m *mailbox) string {
	var lines []string
	for _, e := range m.take(1 << 30) {
		if e.kind == "" {
			lines = append(lines, string(e.content))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s:%s=%s", e.kind, strings.TrimPrefix(e.key.object, "object "), e.object))
	}
	return strings.Join(lines, " ")
}

func TestChangesThatABrowserHasNotReadBecomeOne(t *testing.T) {
	for _, c := range []struct {
		name  string
		kinds []string
		want  string
	}{
		{"two changes", []string{modified, modified}, "MODIFIED:a=1"},
		{"a new object that changes", []string{added, modified, modified}, "ADDED:a=2"},
		{"a change and the end", []string{modified, deleted}, "DELETED:a=1"},
		{"a new object that ends", []string{added, deleted}, ""},
		{"an object of the same name after the end", []string{modified, deleted, added}, "DELETED:a=1 ADDED:a=2"},
		{"an object that comes and goes twice", []string{added, deleted, added, modified}, "ADDED:a=3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMailbox(1 << 20)
			for i, kind := range c.kinds {
				m.event(0, kind, "object a", json.RawMessage(fmt.Sprint(i)))
			}
			if got := script(m); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if m.bytes != 0 || len(m.latest) != 0 {
				t.Errorf("%d bytes and %d keys are left", m.bytes, len(m.latest))
			}
		})
	}
}

func TestAResetDropsWhatWaitsOfItsSource(t *testing.T) {
	m := newMailbox(1 << 20)
	m.event(0, added, "object a", json.RawMessage("1"))
	m.event(1, added, "object a", json.RawMessage("2"))
	m.line(0, "synced", []byte("synced"))
	m.reset(0, []byte("reset"))
	m.event(0, added, "object a", json.RawMessage("3"))
	m.line(0, "synced", []byte("synced"))
	if got, want := script(m), "ADDED:a=2 reset ADDED:a=3 synced"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASourceWaitsForASlowBrowser(t *testing.T) {
	m := newMailbox(4 * (entryCost + 100))
	object := json.RawMessage(strings.Repeat("1", 100))
	name := func(i int) string { return fmt.Sprintf("object %d", i) }
	for i := range 4 {
		m.event(0, added, name(i), object)
	}
	// A change takes the place of an earlier one.
	m.event(0, modified, name(0), object)
	done := make(chan bool)
	go func() {
		for i := 4; i < 100; i++ {
			if !m.event(0, added, name(i), object) {
				done <- false
				return
			}
		}
		done <- true
	}()
	var got []string
	for len(got) < 50 {
		<-m.ready
		m.mu.Lock()
		held := m.bytes
		m.mu.Unlock()
		if held > m.limit {
			t.Fatalf("%d bytes wait, and %d is the limit", held, m.limit)
		}
		for _, e := range m.take(2 * (entryCost + 100)) {
			got = append(got, e.key.object)
		}
	}
	for i, object := range got {
		if object != name(i) {
			t.Fatalf("the order is %v", got)
		}
	}
	m.close()
	if <-done {
		t.Error("the source does not notice the end")
	}
}

func TestLinesOfASourceReplaceEachOther(t *testing.T) {
	m := newMailbox(1 << 20)
	for i := range 5000 {
		m.line(0, "error", fmt.Append(nil, i))
	}
	if len(m.lines) > 1100 {
		t.Errorf("%d lines wait", len(m.lines))
	}
	if got := script(m); got != "4999" {
		t.Errorf("got %q", got)
	}
}

func TestALargeObjectPassesAlone(t *testing.T) {
	m := newMailbox(10)
	if !m.event(0, added, "object a", json.RawMessage(strings.Repeat("1", 100))) {
		t.Error("it waits for ever")
	}
	if taken := m.take(1); len(taken) != 1 || slices.Contains(taken, nil) {
		t.Errorf("got %v", taken)
	}
}
