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

package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// absent is the state of an object that does not exist.
const absent = ""

// model is what the server must hold, by its answers. Each object has one writer, which sends
// one request at a time.
type model struct {
	mu      sync.Mutex
	objects map[string]*object
	// wrong is what the server should not have answered, and lost what it should have kept.
	wrong, lost []string
	// acknowledged counts writes.
	acknowledged int
}

// object is one config map. The last acknowledged state is certain; writes without an answer, or
// with one that does not say whether they were done, add states that are possible as well.
type object struct {
	certain  string
	possible map[string]bool
}

func newModel() *model { return &model{objects: map[string]*object{}} }

func (m *model) object(name string) *object {
	o := m.objects[name]
	if o == nil {
		o = &object{certain: absent, possible: map[string]bool{}}
		m.objects[name] = o
	}
	return o
}

// acknowledge records a write that was done.
func (m *model) acknowledge(name, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.object(name)
	o.certain = state
	clear(o.possible)
	m.acknowledged++
}

// uncertain records a write that may have been done, or may yet be.
func (m *model) uncertain(name, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.object(name).possible[state] = true
}

// may tells whether the object may be in a state, and what it should be.
func (m *model) may(name, state string) (bool, string) {
	o := m.object(name)
	return state == o.certain || o.possible[state], fmt.Sprintf("%.20q or %.60q", o.certain, slices.Sorted(maps.Keys(o.possible)))
}

// exists tells whether the next write should be a create, where that is certain.
func (m *model) exists(name string) (exists, certain bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.object(name)
	exists = o.certain != absent
	for state := range o.possible {
		if (state != absent) != exists {
			return exists, false
		}
	}
	return exists, true
}

// saw records what a read or an answer said about the state of an object while it was written
// by nobody else.
func (m *model) saw(name, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok, want := m.may(name, state); !ok {
		m.wrong = append(m.wrong, fmt.Sprintf("%s was read as %.20q, and must be %s", name, state, want))
	}
}

// settle compares everything with what is stored in the end.
func (m *model) settle(stored map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.objects {
		if ok, want := m.may(name, stored[name]); !ok {
			m.lost = append(m.lost, fmt.Sprintf("%s is %.20q in the end, and must be %s", name, stored[name], want))
		}
	}
	for name := range stored {
		if _, known := m.objects[name]; !known {
			m.lost = append(m.lost, name+" was never written")
		}
	}
}
