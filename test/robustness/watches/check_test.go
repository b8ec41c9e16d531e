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
	"strings"
	"testing"
)

func object(key, value, basis string, revision int64) Object {
	return Object{Key: key, Value: value, Basis: basis, Revision: revision}
}

func event(kind Type, o Object) Event { return Event{Type: kind, Object: o, Server: "s"} }

// history is a list at 2 and what follows.
func history() *Stream {
	return &Stream{
		Watcher: "w", Start: 2, Initial: map[string]Object{"a": object("a", "1", "", 1)},
		Events: []Event{
			event(Modified, object("a", "2", "1", 3)),
			event(Added, object("b", "3", "", 4)),
			event(Bookmark, Object{Revision: 6}),
			event(Deleted, object("a", "2", "1", 7)),
			event(Modified, object("b", "4", "3", 8)),
		},
	}
}

func TestStreamsThatBreakARuleAreReported(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Stream)
		writes []Object
		want   string
	}{
		{name: "nothing is wrong", change: func(*Stream) {}, writes: []Object{object("a", "2", "1", 3), object("b", "9", "4", 9)}},
		{"an event of the same key is missing", func(s *Stream) { s.Events[1] = event(Bookmark, Object{Revision: 4}) }, nil, "no such object"},
		{"a modification is missing", func(s *Stream) { s.Events[0] = event(Bookmark, Object{Revision: 3}) }, nil, `the stream has "1"`},
		{"a delete is missing", func(s *Stream) { s.Events[3] = event(Added, object("a", "5", "", 7)) }, nil, "the event of its delete is missing"},
		{"an event comes twice", func(s *Stream) { s.Events[1] = s.Events[0] }, nil, "an event again"},
		{"events change places", func(s *Stream) { s.Events[0], s.Events[1] = s.Events[1], s.Events[0] }, nil, "out of order"},
		{"an event is older than the list", func(s *Stream) { s.Events[0].Revision = 2 }, nil, "out of order"},
		{"a bookmark goes back", func(s *Stream) { s.Events[2].Revision = 3 }, nil, "the bookmark is below"},
		{"an event comes after a bookmark above it", func(s *Stream) { s.Events[2].Revision = 7 }, nil, "out of order"},
		{"an acknowledged write is missing", func(*Stream) {}, []Object{object("c", "9", "", 5)}, "the event at 5 is missing"},
		{"an event differs from the acknowledged write", func(*Stream) {}, []Object{object("b", "9", "", 4)}, `has b = "9"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := history()
			tc.change(s)
			violations := strings.Join(Check([]*Stream{s}, tc.writes, false), "\n")
			if !strings.Contains(violations, tc.want) || (violations == "") != (tc.want == "") {
				t.Errorf("the violations are %q, want one with %q", violations, tc.want)
			}
		})
	}
}

func TestStreamsAreComparedWithEachOther(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Stream)
		want   string
	}{
		{"one ends earlier", func(s *Stream) { s.Events = s.Events[:2] }, ""},
		{"one begins later", func(s *Stream) {
			s.Start, s.Events = 4, s.Events[2:]
			s.Initial = map[string]Object{"a": object("a", "2", "1", 3), "b": object("b", "3", "", 4)}
		}, ""},
		{"one has an event more", func(s *Stream) { s.Events[2] = event(Added, object("c", "9", "", 6)) }, "the event at 6 is missing"},
		{"the list of one has an object more", func(s *Stream) {
			s.Start, s.Events, s.Initial = 5, nil, map[string]Object{"c": object("c", "9", "", 5)}
		},
			"the event at 5 is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			other := history()
			other.Watcher = "v"
			tc.change(other)
			violations := strings.Join(Check([]*Stream{history(), other}, nil, false), "\n")
			if !strings.Contains(violations, tc.want) || (violations == "") != (tc.want == "") {
				t.Errorf("the violations are %q, want one with %q", violations, tc.want)
			}
		})
	}
}

func TestAStreamHasReachedTheObjectsThatItsEventsLeadTo(t *testing.T) {
	s := history()
	if final := map[string]Object{"b": object("b", "4", "3", 8)}; !Reached(s, final) {
		t.Errorf("the objects are %v", s.Objects())
	}
	for name, final := range map[string]map[string]Object{
		"a newer version":    {"b": object("b", "5", "4", 9)},
		"another object too": {"b": object("b", "4", "3", 8), "c": object("c", "9", "", 9)},
	} {
		if Reached(s, final) {
			t.Errorf("%s is reached", name)
		}
	}
}
