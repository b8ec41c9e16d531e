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
	// settle is how long a charge may be on its way: from the write of the quota's status
	// until the object has been stored and this controller has heard of it. That takes
	// milliseconds, and a server that is ill may need seconds. Too short, and what is on its
	// way is taken for an error: more is admitted than may be, until it arrives. Too long, and
	// the charges of a server that died are in the way of others.
	settle = 5 * time.Second
	// grace is how long what is stored may be heard of before its charge: of two watches one is
	// always a little ahead. Longer, and there is more than was charged.
	grace = 500 * time.Millisecond
)

// account is what is known of one number of one quota.
type account struct {
	// pending are charges for which nothing has been stored yet, oldest first.
	pending []charge
	// early is what was stored for charges that have not been heard of yet.
	early []charge
	// lowSince is when less was found to be charged than there is.
	lowSince time.Time
}

type charge struct {
	amount  int64
	expires time.Time
}

// charged remembers that somebody charged this much. Something will be stored for it soon,
// or never: until it expires, nobody can know.
func (a *account) charged(amount int64, now time.Time) {
	a.expire(now)
	if amount = take(&a.early, amount); amount > 0 {
		a.pending = append(a.pending, charge{amount, now.Add(settle)})
	}
}

// stored takes what is now counted off the charges on their way. Which of them it was for
// cannot be seen. The oldest is the safe guess: those that are kept expire later than the
// true ones could.
func (a *account) stored(amount int64, now time.Time) {
	a.expire(now)
	if amount = take(&a.pending, amount); amount > 0 {
		a.early = append(a.early, charge{amount, now.Add(grace)})
	}
}

// take takes the amount from the charges, the oldest first, and returns what they lack.
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

// figures are what decide judges one number of a quota by.
type figures struct {
	// counted is how much there is, and pending how much more may come at the most.
	counted, pending int64
	// expires is when the next of what is pending is given up; zero where nothing is.
	expires time.Time
	// lowFor is how long too little has been charged.
	lowFor time.Duration
}

// figures reads the account. used is nil where nobody has counted yet.
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

// add adds two amounts that are not negative, up to the greatest that there is.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
