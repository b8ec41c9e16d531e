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

// Package history records the operations of clients on objects, and checks them.
//
//	Check         each key is linearizable: porcupine searches for an order of its operations that
//	              the model explains
//	Lost          acknowledged writes that neither are there at the end nor were replaced
//
// Every write has a value that no other write has. An update and a delete are conditional on the
// resource version of an object that the client has read, so their basis is the value of that object.
package history

import (
	"slices"
	"sync"
	"time"
)

// Kind is the kind of an operation.
type Kind string

// Kinds of operations. A list is recorded as one Get per key.
const (
	Create Kind = "create"
	Update Kind = "update"
	Delete Kind = "delete"
	Get    Kind = "get"
)

// Outcome is the response of an operation.
type Outcome string

// Outcomes of operations.
const (
	OK Outcome = "ok"
	// Exists is the conflict of a create.
	Exists Outcome = "exists"
	// Conflict is the refusal of an update or delete whose basis is not the current object.
	Conflict Outcome = "conflict"
	NotFound Outcome = "not found"
	// Unknown is an operation without an answer, or with an answer that leaves open whether it has
	// happened. A write with this outcome may happen at any later time, or never.
	Unknown Outcome = "unknown"
	// Refused is an operation that has certainly had no effect. It is not checked.
	Refused Outcome = "refused"
)

// Operation is one operation on one key.
type Operation struct {
	Client int    `json:"client"`
	Server string `json:"server"`
	Kind   Kind   `json:"kind"`
	Key    string `json:"key"`
	// Value is what a create or update writes, and what a get reads; empty for a key without object.
	Value string `json:"value,omitempty"`
	// Basis is the value of the object that an update or delete replaces.
	Basis string `json:"basis,omitempty"`
	// Revision is the resource version in the response; 0 if it has none.
	Revision int64   `json:"revision,omitempty"`
	Outcome  Outcome `json:"outcome"`
	// Detail is the response of an operation that is not OK.
	Detail string `json:"detail,omitempty"`
	// Call and Return are times since the begin of the run.
	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
}

// writes reports whether the operation is a write.
func (o *Operation) writes() bool { return o.Kind != Get }

// AcknowledgedWrite reports whether the operation is a write that the server has acknowledged.
func (o *Operation) AcknowledgedWrite() bool { return o.writes() && o.Outcome == OK }

// Recorder collects operations of concurrent clients.
type Recorder struct {
	began time.Time

	mu  sync.Mutex
	all []Operation
}

// NewRecorder returns a recorder whose clock begins now.
func NewRecorder() *Recorder { return &Recorder{began: time.Now()} }

// Now returns the time since the begin of the run.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// Add records operations that have ended.
func (r *Recorder) Add(operations ...Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, operations...)
}

// All returns a copy of the operations so far.
func (r *Recorder) All() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Operation(nil), r.all...)
}

// Acknowledged returns the number of acknowledged writes whose response came at the time or later.
func (r *Recorder) Acknowledged(since time.Duration) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for i := range r.all {
		if r.all[i].AcknowledgedWrite() && r.all[i].Return >= since {
			n++
		}
	}
	return n
}

// LongestGap returns the longest time between from and to without the response of an operation that
// matches.
func LongestGap(operations []Operation, from, to time.Duration, matches func(*Operation) bool) time.Duration {
	var ends []time.Duration
	for i := range operations {
		if o := &operations[i]; matches(o) && o.Return > from && o.Return < to {
			ends = append(ends, o.Return)
		}
	}
	slices.Sort(ends)
	var gap time.Duration
	last := from
	for _, end := range append(ends, to) {
		gap = max(gap, end-last)
		last = end
	}
	return gap
}
