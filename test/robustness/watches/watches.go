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

// Package watches records what watches deliver, and checks it.
//
// A stream begins with a list and goes on over all watches that resume from its last resource
// version, on any server, until a watch has to list again. Check has the rules.
package watches

import (
	"time"
)

// Type is the type of an event.
type Type string

// Types of events.
const (
	Added    Type = "ADDED"
	Modified Type = "MODIFIED"
	Deleted  Type = "DELETED"
	Bookmark Type = "BOOKMARK"
)

// Object is an object as a list or an event has it. Basis is the value that its writer replaced,
// which the writer has stored in it; empty for a created object.
type Object struct {
	Key, Value, Basis string
	Revision          int64
}

// Event is an event of a watch. That of a delete has the last state of the object, with the resource
// version of the delete.
type Event struct {
	Type Type
	Object
	// Server has sent the event at the time since the begin of the run.
	Server string
	At     time.Duration
}

// Stream is what a watcher has received from a list until it had to list again.
type Stream struct {
	Watcher string
	// Start is the resource version of the list, and Initial has its objects by key.
	Start   int64
	Initial map[string]Object
	Events  []Event
	// Watches is the number of watches that it consists of.
	Watches int
}

// Last returns the resource version up to which the stream is complete.
func (s *Stream) Last() int64 {
	if len(s.Events) == 0 {
		return s.Start
	}
	return s.Events[len(s.Events)-1].Revision
}

// Objects returns the objects by key after all events.
func (s *Stream) Objects() map[string]Object {
	objects := map[string]Object{}
	for key, object := range s.Initial {
		objects[key] = object
	}
	for _, event := range s.Events {
		apply(objects, event)
	}
	return objects
}

func apply(objects map[string]Object, event Event) {
	switch event.Type {
	case Added, Modified:
		objects[event.Key] = event.Object
	case Deleted:
		delete(objects, event.Key)
	}
}
