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
	"time"
)

const (
	// settle bounds the time from the write of a charge to the quota's status until the watch
	// shows the stored object. That takes milliseconds, or seconds on an overloaded server. Too
	// short, and a charge in flight is taken for an error: more is admitted than allowed until its
	// object arrives. Too long, and the charges of a crashed server block other requests.
	settle = 5 * time.Second
	// grace bounds the time by which the watch of an object may be ahead of the watch of its
	// charge. After it, more exists than was charged.
	grace = 500 * time.Millisecond
)

// account tracks the charges for one name of one quota.
type account struct {
	// pending are charges without an observed object, oldest first.
	pending []charge
	// early are objects without an observed charge.
	early []charge
	// lowSince is when the charged amount was first found to be less than the counted one.
	lowSince time.Time
}

type charge struct {
	amount  int64
	expires time.Time
}

// charged records a charge. Its object is stored soon, or never; which of the two is unknown until
// the charge expires.
func (a *account) charged(amount int64, now time.Time) {
	a.expire(now)
	if amount = take(&a.early, amount); amount > 0 {
		a.pending = append(a.pending, charge{amount, now.Add(settle)})
	}
}

// stored subtracts a newly counted amount from the pending charges. Which of them it belongs to is
// unknown. The oldest is the safe guess: the remaining ones expire no earlier than the true ones.
func (a *account) stored(amount int64, now time.Time) {
	a.expire(now)
	if amount = take(&a.pending, amount); amount > 0 {
		a.early = append(a.early, charge{amount, now.Add(grace)})
	}
}

// take subtracts the amount from the charges, the oldest first, and returns the rest.
func take(from *[]charge, amount int64) int64 {
	for len(*from) > 0 && amount > 0 {
		first := &(*from)[0]
		taken := min(first.amount, amount)
		first.amount -= taken
		amount -= taken
		if first.amount == 0 {
			*from = (*from)[1:]
		}
	}
	return amount
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
	// lowFor is for how long too little has been charged.
	lowFor time.Duration
}

// figures reads the account. used is nil if the quota's status has no usage yet.
func (a *account) figures(counted int64, used *int64, now time.Time) figures {
	a.expire(now)
	f := figures{counted: counted}
	for _, c := range a.pending {
		f.pending = add(f.pending, c.amount)
	}
	if len(a.pending) > 0 {
		f.expires = a.pending[0].expires
	}
	if used == nil || *used >= counted {
		a.lowSince = time.Time{}
		return f
	}
	if a.lowSince.IsZero() {
		a.lowSince = now
	}
	f.lowFor = now.Sub(a.lowSince)
	return f
}

// add adds two non-negative amounts, and saturates.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
