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

package quota

import (
	"math"
	"slices"
	"time"
)

const (
	// settle bounds the time from the write of a charge to the quota's status until the watch
	// shows the stored object. That takes milliseconds, or seconds on an overloaded server. Too
	// short, and a charge in flight is taken for an error: more is admitted than allowed until its
	// object arrives. Too long, and the charges of a crashed server block other requests.
	settle = 5 * time.Second
	// grace bounds the time by which the watch of an object may be ahead of the watch of its
	// charge. After it, the object was not charged.
	grace = 500 * time.Millisecond
)

// account tracks the charges for one name of one quota.
type account struct {
	// pending are charges without an observed object, oldest first.
	pending []charge
	// early are objects without an observed charge.
	early []charge
}

// charge is a charge, or an object. A charge is written before its object, so an object belongs to no charge
// of a later revision: objects that were admitted before the quota was known have no charge at all.
type charge struct {
	amount   int64
	revision uint64 // of the write of the quota or of the object; 0 if the two have no common order
	expires  time.Time
}

// charged records a charge that was written in a revision. Its object is stored soon, or never; which of the two
// is unknown until the charge expires.
func (a *account) charged(amount int64, revision uint64, now time.Time) {
	a.expire(now)
	a.early, amount = take(a.early, amount, func(object charge) bool { return ordered(revision, object.revision) })
	if amount > 0 {
		a.pending = append(a.pending, charge{amount, revision, now.Add(settle)})
	}
}

// stored subtracts a newly counted amount from the pending charges. Which of them it belongs to is
// unknown. The oldest is the safe guess: the remaining ones expire no earlier than the true ones.
func (a *account) stored(amount int64, revision uint64, now time.Time) {
	a.expire(now)
	a.pending, amount = take(a.pending, amount, func(c charge) bool { return ordered(c.revision, revision) })
	if amount > 0 {
		a.early = append(a.early, charge{amount, revision, now.Add(grace)})
	}
}

// corrected records a write of this controller, which was decided at a time and became a revision. What had been
// counted by then without a charge has none: a charge after the decision would have made the write conflict. The
// usage that the write added is no charge, though the watch may have shown it as one.
func (a *account) corrected(decided time.Time, revision uint64) {
	a.early = slices.DeleteFunc(a.early, func(c charge) bool { return !c.expires.After(decided.Add(grace)) })
	if revision != 0 {
		a.pending = slices.DeleteFunc(a.pending, func(c charge) bool { return c.revision == revision })
	}
}

// ordered reports whether a charge may be that of an object.
func ordered(charge, object uint64) bool { return charge == 0 || object == 0 || charge < object }

// take subtracts the amount from those of the charges that match, the oldest first, and returns what is left of
// both.
func take(from []charge, amount int64, matches func(charge) bool) (left []charge, rest int64) {
	for _, c := range from {
		if matches(c) {
			taken := min(c.amount, amount)
			c.amount -= taken
			amount -= taken
		}
		if c.amount > 0 {
			left = append(left, c)
		}
	}
	return left, amount
}

func (a *account) expire(now time.Time) {
	for _, charges := range []*[]charge{&a.pending, &a.early} {
		for len(*charges) > 0 && !(*charges)[0].expires.After(now) {
			*charges = (*charges)[1:]
		}
	}
}

// figures are the input of decide for one name of a quota.
type figures struct {
	// counted is the usage of the existing objects, and pending the most that may be added to it.
	counted, pending int64
	// expires is when the next pending charge expires; zero if none is pending.
	expires time.Time
}

// figures reads the account.
func (a *account) figures(counted int64, now time.Time) figures {
	a.expire(now)
	f := figures{counted: counted}
	for _, c := range a.pending {
		f.pending = add(f.pending, c.amount)
	}
	if len(a.pending) > 0 {
		f.expires = a.pending[0].expires
	}
	return f
}

// add adds two non-negative amounts, and saturates.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
