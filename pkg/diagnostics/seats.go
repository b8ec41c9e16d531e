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

package diagnostics

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// mostHolders bounds the users of Seats.
	mostHolders = 5
	// mostIdle is the number of users of a level from which those without seats are removed.
	mostIdle = 256
	// holdersAge is the time for which the largest users of a level are not computed again: refusals come in
	// floods.
	holdersAge = 100 * time.Millisecond
)

// Seats are the seats in use when flow control refused a request.
type Seats struct {
	InUse, Waiting int32
	// Holders are the users with the most seats, and the user of the request.
	Holders []SeatHolder
}

// SeatHolder is a user with running requests.
type SeatHolder struct {
	User  string
	Seats int32
}

// seatTable counts the seats of running requests by priority level and user.
type seatTable struct {
	mu     sync.Mutex
	levels map[string]*levelSeats
	// all is the cached sum over the levels.
	all levelSeats
}

type levelSeats struct {
	inUse, waiting int32
	// users include some without seats.
	users map[string]*int32
	// largest are the users with the most seats at a time.
	largest []SeatHolder
	at      time.Time
}

func newSeatTable() *seatTable { return &seatTable{levels: map[string]*levelSeats{}} }

func (t *seatTable) of(level string) *levelSeats {
	l := t.levels[level]
	if l == nil {
		l = &levelSeats{users: map[string]*int32{}}
		t.levels[level] = l
	}
	return l
}

// take adds to the seats of a user, and returns what gives them back.
func (t *seatTable) take(level, user string, seats int32) heldSeats {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of(level)
	of := l.users[user]
	if of == nil {
		if len(l.users) >= mostIdle {
			maps.DeleteFunc(l.users, func(_ string, seats *int32) bool { return *seats == 0 })
		}
		of = new(int32)
		l.users[user] = of
	}
	l.inUse += seats
	*of += seats
	return heldSeats{t, l, of, seats}
}

// heldSeats are the seats of a running request.
type heldSeats struct {
	table *seatTable
	level *levelSeats
	user  *int32
	seats int32
}

// give returns the seats. The user stays in the table, which makes its next request cheap.
func (h heldSeats) give() {
	h.table.mu.Lock()
	defer h.table.mu.Unlock()
	h.level.inUse -= h.seats
	*h.user -= h.seats
}

// wait adds to the number of requests that wait.
func (t *seatTable) wait(level string, requests int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(level).waiting += requests
}

// state returns the seats of a level, or of all levels if it is empty.
func (t *seatTable) state(level, user string, now time.Time) *Seats {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.all
	if level != "" {
		l = t.of(level)
	} else if now.Sub(l.at) > holdersAge || l.users == nil {
		t.sum()
	}
	if now.Sub(l.at) > holdersAge {
		l.largest, l.at = largestOf(l.users), now
	}
	seats := &Seats{InUse: l.inUse, Waiting: l.waiting, Holders: slices.Clone(l.largest)}
	own := int32(0)
	if of := l.users[user]; of != nil {
		own = *of
	}
	i := slices.IndexFunc(seats.Holders, func(h SeatHolder) bool { return h.User == user })
	switch {
	case i >= 0:
		seats.Holders[i].Seats = own
	case own > 0 && len(seats.Holders) == mostHolders:
		seats.Holders[mostHolders-1] = SeatHolder{user, own}
	case own > 0:
		seats.Holders = append(seats.Holders, SeatHolder{user, own})
	}
	return seats
}

// sum computes the sum of all levels.
func (t *seatTable) sum() {
	t.all.inUse, t.all.waiting, t.all.users = 0, 0, map[string]*int32{}
	for _, l := range t.levels {
		t.all.inUse += l.inUse
		t.all.waiting += l.waiting
		for user, seats := range l.users {
			if t.all.users[user] == nil {
				t.all.users[user] = new(int32)
			}
			*t.all.users[user] += *seats
		}
	}
}

// largestOf returns the users with the most seats, the largest first.
func largestOf(users map[string]*int32) []SeatHolder {
	all := make([]SeatHolder, 0, len(users))
	for user, seats := range users {
		if *seats > 0 {
			all = append(all, SeatHolder{user, *seats})
		}
	}
	slices.SortFunc(all, func(a, b SeatHolder) int {
		return cmp.Or(cmp.Compare(b.Seats, a.Seats), cmp.Compare(a.User, b.User))
	})
	return slices.Clip(all[:min(len(all), mostHolders)])
}
