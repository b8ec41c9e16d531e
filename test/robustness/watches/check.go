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
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// maxViolations bounds the violations of one stream: one missing event has many consequences.
const maxViolations = 5

// Check returns a violation for each of these rules that a stream breaks:
//
//   - Resource versions of events grow, and begin above that of the list: order, no duplicate.
//   - A bookmark is not below what was delivered before it.
//   - An object is ADDED if the stream has none of its name, and MODIFIED or DELETED otherwise. Its
//     basis, or the deleted value, is the value that the stream has: no gap within a key.
//   - Every acknowledged write of writes between the list and the last event was delivered: no gap.
//   - So was every event and every object of a list that any other stream has: all servers tell the
//     same history.
//
// With rewrites, an object may be MODIFIED without a new value.
func Check(streams []*Stream, writes []Object, rewrites bool) []string {
	var violations []string
	known := union(streams, writes)
	for _, stream := range streams {
		found := append(checkOrder(stream, rewrites), checkGaps(stream, known)...)
		if len(found) > maxViolations {
			found = append(found[:maxViolations], fmt.Sprintf("%s: %d more", stream.Watcher, len(found)-maxViolations))
		}
		violations = append(violations, found...)
	}
	return violations
}

// checkOrder compares the events of a stream with those before them.
func checkOrder(s *Stream, rewrites bool) []string {
	var violations []string
	last := s.Start
	objects := maps.Clone(s.Initial)
	if objects == nil {
		objects = map[string]Object{}
	}
	for _, event := range s.Events {
		report := func(format string, args ...any) {
			violations = append(violations, fmt.Sprintf("%s: %s of %s = %q at %d from %s: ", s.Watcher, event.Type, event.Key, event.Value, event.Revision, event.Server)+
				fmt.Sprintf(format, args...))
		}
		before, present := objects[event.Key]
		switch {
		case event.Type == Bookmark:
			if event.Revision < last {
				report("the bookmark is below %d, which was delivered before", last)
			}
		case event.Revision <= last:
			report("not above %d, which was delivered before: an event again, or out of order", last)
		case event.Type == Added && present:
			report("the stream has %q already: the event of its delete is missing", before.Value)
		case event.Type == Added && event.Basis != "":
			report("a new object replaces nothing, and this one replaces %q", event.Basis)
		case event.Type == Modified && !present:
			report("the stream has no such object: an event is missing")
		case event.Type == Modified && event.Basis != before.Value && !(rewrites && event.Value == before.Value):
			report("it replaces %q, and the stream has %q: an event is missing", event.Basis, before.Value)
		case event.Type == Deleted && (!present || event.Value != before.Value):
			report("the stream has %q: an event is missing", before.Value)
		}
		last = max(last, event.Revision)
		apply(objects, event)
	}
	return violations
}

// change is a write that a stream with its resource version has to have delivered.
type change struct {
	Object
	deleted bool
	source  string
}

// union returns the changes that any stream and any acknowledgement is a proof of, in their order.
func union(streams []*Stream, writes []Object) []change {
	byRevision := map[int64]change{}
	add := func(c change) {
		if _, ok := byRevision[c.Revision]; !ok {
			byRevision[c.Revision] = c
		}
	}
	for _, write := range writes {
		add(change{write, false, "an acknowledged write"})
	}
	for _, s := range streams {
		for _, object := range s.Initial {
			add(change{object, false, "the list of " + s.Watcher})
		}
		for _, event := range s.Events {
			if event.Type != Bookmark {
				add(change{event.Object, event.Type == Deleted, "the watch of " + s.Watcher})
			}
		}
	}
	return slices.SortedFunc(maps.Values(byRevision), func(a, b change) int { return cmp.Compare(a.Revision, b.Revision) })
}

// checkGaps compares a stream with the changes in its range.
func checkGaps(s *Stream, known []change) []string {
	delivered := map[int64]Event{}
	for _, event := range s.Events {
		if event.Type != Bookmark {
			delivered[event.Revision] = event
		}
	}
	var violations []string
	for _, c := range known {
		if c.Revision <= s.Start || c.Revision > s.Last() {
			continue
		}
		event, ok := delivered[c.Revision]
		switch {
		case !ok:
			violations = append(violations, fmt.Sprintf("%s: the event at %d is missing: %s has %s = %q there, and the stream goes from %d to %d",
				s.Watcher, c.Revision, c.source, c.Key, c.Value, s.Start, s.Last()))
		case event.Key != c.Key || event.Value != c.Value || (event.Type == Deleted) != c.deleted:
			violations = append(violations, fmt.Sprintf("%s: the event at %d is %s of %s = %q, and %s has %s = %q (deleted: %v) there",
				s.Watcher, c.Revision, event.Type, event.Key, event.Value, c.source, c.Key, c.Value, c.deleted))
		}
	}
	return violations
}

// Reached reports whether a stream has the objects of a list, by their resource versions.
func Reached(s *Stream, final map[string]Object) bool {
	objects := s.Objects()
	if len(objects) != len(final) {
		return false
	}
	for key, object := range final {
		if objects[key].Revision != object.Revision {
			return false
		}
	}
	return true
}
