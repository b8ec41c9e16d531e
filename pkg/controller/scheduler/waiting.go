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

package scheduler

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// firstBackoff and lastBackoff are upstream's: soon enough for a conflict, and seldom enough
	// for an overloaded server.
	firstBackoff = time.Second
	lastBackoff  = 10 * time.Second
	// refreshPeriod is the time after which all waiting instances are retried: their messages may
	// be outdated, and a missed change must not block one forever.
	refreshPeriod = 5 * time.Minute
)

func backoff(failures int) time.Duration {
	return min(firstBackoff<<min(max(failures-1, 0), 10), lastBackoff)
}

// position is the part of the queue that holds a waiting instance.
type position int

const (
	// active instances are decided next, in order of arrival.
	active position = iota
	// parked instances fit nowhere, and wait in their class.
	parked
	// backingOff instances are retried after a delay.
	backingOff
	// inFlight instances are with a binder.
	inFlight
)

// waiting is an instance that is not bound, as far as the watch shows.
type waiting struct {
	key          types.NamespacedName
	instance     *v1alpha1.Instance
	requirements requirements
	arrival      int64
	position     position
	// at is the index in the heap that holds it.
	at int

	// failures counts failed bindings, and until is the time of the retry after one.
	failures int
	until    time.Time
	// unknown is set after a binding without a response: it may have been written, so the same
	// host is tried again, and the assumption stays.
	unknown bool
	// confirming is set while the watch is awaited, after which the instance is read from the
	// server; no binding is sent.
	confirming bool
	// class is the class with which it is parked, or for which it is the candidate.
	class *class
	// reported is the message that was last written.
	reported string
	// conflict is the message of the last binding that conflicted.
	conflict string
}

// class holds the unschedulable instances of equal requirements. Only the first of them is retried
// when a host may fit; the next one follows when it did.
type class struct {
	key          classKey
	requirements requirements
	members      ordered[*waiting]
	// trying is the candidate that is being retried.
	trying *waiting
	// message is why the last candidate did not fit.
	message string
	// due is set if a host may fit since the last try.
	due      bool
	failures int
	until    time.Time
	at       int
}

// schedulingQueue holds all waiting instances: active, parked and backing off. It is pure: the
// caller passes the time.
type schedulingQueue struct {
	all        map[types.NamespacedName]*waiting
	arrived    int64
	active     ordered[*waiting]
	backingOff ordered[*waiting]
	classes    map[classKey]*class
	// delayed has the classes that are due, and wait for their backoff.
	delayed   ordered[*class]
	refreshed time.Time
}

func byArrival(a, b *waiting) bool { return a.arrival < b.arrival }
func placeOf(w *waiting) *int      { return &w.at }

func newSchedulingQueue() *schedulingQueue {
	return &schedulingQueue{
		all:        map[types.NamespacedName]*waiting{},
		active:     newOrdered(byArrival, placeOf),
		backingOff: newOrdered(func(a, b *waiting) bool { return a.until.Before(b.until) }, placeOf),
		classes:    map[classKey]*class{},
		delayed:    newOrdered(func(a, b *class) bool { return a.until.Before(b.until) }, func(c *class) *int { return &c.at }),
	}
}

// add adds an instance as the last active one.
func (q *schedulingQueue) add(key types.NamespacedName, instance *v1alpha1.Instance) *waiting {
	q.arrived++
	w := &waiting{key: key, instance: instance, requirements: requirementsOf(instance), arrival: q.arrived, at: -1}
	q.all[key] = w
	q.active.push(w)
	return w
}

// leave removes an instance from the part of the queue that holds it.
func (q *schedulingQueue) leave(w *waiting, now time.Time) {
	switch w.position {
	case active:
		q.active.remove(w)
	case parked:
		w.class.members.remove(w)
	case backingOff:
		q.backingOff.remove(w)
	}
	c := w.class
	w.class, w.position = nil, inFlight
	if c == nil {
		return
	}
	if c.trying == w {
		// Another instance of the class may fit instead.
		c.trying = nil
		q.try(c, now)
	}
	q.tidy(c)
}

func (q *schedulingQueue) drop(w *waiting, now time.Time) {
	q.leave(w, now)
	delete(q.all, w.key)
}

func (q *schedulingQueue) tidy(c *class) {
	if c.members.len() == 0 && c.trying == nil {
		q.delayed.remove(c)
		delete(q.classes, c.key)
	}
}

// activate makes an instance active, in order of its arrival.
func (q *schedulingQueue) activate(w *waiting) {
	w.position = active
	q.active.push(w)
}

// backOff retries an instance at a later time.
func (q *schedulingQueue) backOff(w *waiting, until time.Time) {
	w.position, w.until = backingOff, until
	q.backingOff.push(w)
}

// park adds an unschedulable instance to its class. tried is set if no host fitted just now, which
// makes the whole class back off.
func (q *schedulingQueue) park(w *waiting, tried bool, message string, now time.Time) {
	c := w.class
	if c == nil {
		key := classKeyOf(&w.requirements)
		if c = q.classes[key]; c == nil {
			c = &class{key: key, requirements: w.requirements, members: newOrdered(byArrival, placeOf), at: -1}
			q.classes[key] = c
		}
	}
	if tried {
		c.failures++
		c.until, c.message, c.due = now.Add(backoff(c.failures)), message, false
	}
	if c.trying == w {
		c.trying = nil
	}
	w.class, w.position = c, parked
	c.members.push(w)
}

// behind returns the class of equal requirements that already waits: a later instance does not fit
// either. It returns nil if there is none, or if the class has a candidate: that was decided
// earlier, so the later instance may fit, too.
func (q *schedulingQueue) behind(w *waiting) *class {
	if len(q.classes) == 0 || w.class != nil {
		return nil
	}
	c := q.classes[classKeyOf(&w.requirements)]
	if c == nil || c.members.len() == 0 || c.trying != nil {
		return nil
	}
	return c
}

// wake retries the classes that may fit on a host now.
func (q *schedulingQueue) wake(h *host, now time.Time) {
	if h == nil {
		return
	}
	for _, c := range q.classes {
		if !c.due && h.refuses(&c.requirements).cause == fits {
			c.due = true
			q.try(c, now)
		}
	}
}

// try activates the first instance of a class that is due, when its backoff is over.
func (q *schedulingQueue) try(c *class, now time.Time) {
	if !c.due || c.trying != nil || c.members.len() == 0 || c.at >= 0 {
		return
	}
	if c.until.After(now) {
		q.delayed.push(c)
		return
	}
	w := c.members.pop()
	c.trying = w
	q.activate(w)
}

// placed removes a candidate that fitted, which retries the next one of its class.
func (q *schedulingQueue) placed(w *waiting, now time.Time) {
	if c := w.class; c != nil && c.trying == w {
		c.failures, c.until = 0, time.Time{}
	}
	q.leave(w, now)
}

// elapse activates all instances with an expired backoff, and returns when it must be called again.
func (q *schedulingQueue) elapse(now time.Time) (next time.Time) {
	for q.backingOff.len() > 0 && !q.backingOff.first().until.After(now) {
		q.activate(q.backingOff.pop())
	}
	for q.delayed.len() > 0 && !q.delayed.first().until.After(now) {
		q.try(q.delayed.pop(), now)
	}
	if !q.refreshed.IsZero() && now.Sub(q.refreshed) >= refreshPeriod {
		for _, c := range q.classes {
			q.refresh(c)
		}
	}
	if q.refreshed.IsZero() || now.Sub(q.refreshed) >= refreshPeriod {
		q.refreshed = now
	}
	next = q.refreshed.Add(refreshPeriod)
	if q.backingOff.len() > 0 && q.backingOff.first().until.Before(next) {
		next = q.backingOff.first().until
	}
	if q.delayed.len() > 0 && q.delayed.first().until.Before(next) {
		next = q.delayed.first().until
	}
	return next
}

// refresh activates every member of a class.
func (q *schedulingQueue) refresh(c *class) {
	for c.members.len() > 0 {
		w := c.members.pop()
		w.class = nil
		q.activate(w)
	}
	if c.trying != nil {
		c.trying.class = nil
		c.trying = nil
	}
	q.tidy(c)
}
