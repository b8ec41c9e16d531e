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

// model is the expected state of the server according to its responses. Each object has one writer,
// which sends one request at a time.
type model struct {
	mu      sync.Mutex
	objects map[string]*object
	// wrong lists incorrect responses, and lost the acknowledged writes that are missing.
	wrong, lost []string
	// acknowledged counts writes.
	acknowledged int
}

// object is one config map. The last acknowledged state is certain. Writes without a response, or
// with one that leaves open whether they were applied, add possible states.
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

// acknowledge records a write that was applied.
func (m *model) acknowledge(name, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.object(name)
	o.certain = state
	clear(o.possible)
	m.acknowledged++
}

// uncertain records a write that may have been applied, or may still be.
func (m *model) uncertain(name, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.object(name).possible[state] = true
}

// may reports whether the object may have a state, and returns the expected ones.
func (m *model) may(name, state string) (bool, string) {
	o := m.object(name)
	return state == o.certain || o.possible[state], fmt.Sprintf("%.20q or %.60q", o.certain, slices.Sorted(maps.Keys(o.possible)))
}

// exists reports whether the object exists, and whether that is certain.
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

// saw records the state of an object in a response, while no other request
// wrote it.
func (m *model) saw(name, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok, want := m.may(name, state); !ok {
		m.wrong = append(m.wrong, fmt.Sprintf("%s was read as %.20q, and must be %s", name, state, want))
	}
}

// settle compares all objects with the stored ones in the end.
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
