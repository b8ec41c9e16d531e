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
	// firstBackoff and lastBackoff are upstream's: soon enough for a conflict, seldom enough
	// for a server that is ill.
	firstBackoff = time.Second
	lastBackoff  = 10 * time.Second
	// refreshPeriod is how often all that wait are looked at again, whatever happened: their
	// messages may be out of date, and a change that was missed must not keep one forever.
	refreshPeriod = 5 * time.Minute
)

func backoff(failures int) time.Duration {
	return min(firstBackoff<<min(max(failures-1, 0), 10), lastBackoff)
}

// where says in which line a waiting instance stands.
type where int

const (
	// active ones are decided next, in the order in which they came.
	active where = iota
	// parked ones fit nowhere, with the others of their class.
	parked
	// resting ones are looked at again at a time.
	resting
	// out ones are with a binder.
	out
)

// waiting is an instance that is not bound, as far as the watch has told.
type waiting struct {
	key      types.NamespacedName
	instance *v1alpha1.Instance
	wish     wish
	arrival  int64
	where    where
	// at is the place in the line in which it stands.
	at int

	// failures counts binders' failures, and until is when it is looked at again after one.
	failures int
	until    time.Time
	// unclear says that a binding was sent and not answered: it may have been done, so the
	// same host is tried again, and what was assumed stays.
	unclear bool
	// sure says that nothing is sent any more: the watch is waited for, and then the server
	// asked.
	sure bool
	// line is the class with which it is parked, or that it tries for.
	line *line
	// said is the message that was last written.
	said string
	// answer is what the last binding was answered with that seemed to be overtaken.
	answer string
}

// line is all waiting instances of one class. Only the first of them is tried when there may
// be room; the next follows when there was.
type line struct {
	class   class
	wish    wish
	members ordered[*waiting]
	// trying is the one that is tried now.
	trying *waiting
	// message says why there was no room for the last that was tried.
	message string
	// due says that a change has made room since the last try.
	due      bool
	failures int
	until    time.Time
	at       int
}

// room is every line: who is decided next, who fits nowhere, and who rests. It is pure: time
// comes from outside.
type room struct {
	all     map[types.NamespacedName]*waiting
	arrived int64
	active  ordered[*waiting]
	resting ordered[*waiting]
	lines   map[class]*line
	// late are lines that are due, and wait for their back-off.
	late      ordered[*line]
	refreshed time.Time
}

func byArrival(a, b *waiting) bool { return a.arrival < b.arrival }
func placeOf(w *waiting) *int      { return &w.at }

func newRoom() *room {
	return &room{
		all:     map[types.NamespacedName]*waiting{},
		active:  newOrdered(byArrival, placeOf),
		resting: newOrdered(func(a, b *waiting) bool { return a.until.Before(b.until) }, placeOf),
		lines:   map[class]*line{},
		late:    newOrdered(func(a, b *line) bool { return a.until.Before(b.until) }, func(l *line) *int { return &l.at }),
	}
}

// add puts an instance at the end of the line of those that are decided next.
func (r *room) add(key types.NamespacedName, instance *v1alpha1.Instance) *waiting {
	r.arrived++
	w := &waiting{key: key, instance: instance, wish: wishOf(instance), arrival: r.arrived, at: -1}
	r.all[key] = w
	r.active.push(w)
	return w
}

// leave takes an instance out of the line in which it stands.
func (r *room) leave(w *waiting, now time.Time) {
	switch w.where {
	case active:
		r.active.remove(w)
	case parked:
		w.line.members.remove(w)
	case resting:
		r.resting.remove(w)
	}
	l := w.line
	w.line, w.where = nil, out
	if l == nil {
		return
	}
	if l.trying == w {
		// Somebody else may take the room that it was tried for.
		l.trying = nil
		r.try(l, now)
	}
	r.tidy(l)
}

func (r *room) drop(w *waiting, now time.Time) {
	r.leave(w, now)
	delete(r.all, w.key)
}

func (r *room) tidy(l *line) {
	if l.members.len() == 0 && l.trying == nil {
		r.late.remove(l)
		delete(r.lines, l.class)
	}
}

// activate lets an instance be decided next, in the order of its arrival.
func (r *room) activate(w *waiting) {
	w.where = active
	r.active.push(w)
}

// rest has an instance looked at again later.
func (r *room) rest(w *waiting, until time.Time) {
	w.where, w.until = resting, until
	r.resting.push(w)
}

// park lets an instance wait for room. tried says that there was none for it just now, which
// makes the whole class wait a little.
func (r *room) park(w *waiting, tried bool, message string, now time.Time) {
	l := w.line
	if l == nil {
		class := classOf(&w.wish)
		if l = r.lines[class]; l == nil {
			l = &line{class: class, wish: w.wish, members: newOrdered(byArrival, placeOf), at: -1}
			r.lines[class] = l
		}
	}
	if tried {
		l.failures++
		l.until, l.message, l.due = now.Add(backoff(l.failures)), message, false
	}
	if l.trying == w {
		l.trying = nil
	}
	w.line, w.where = l, parked
	l.members.push(w)
}

// behind is the line of those that wait already for the same as an instance that came after
// them: there is no room for it either. Nil when there are none, or when one of them is tried:
// it came earlier and is decided earlier, so who is asked about now may fit, too.
func (r *room) behind(w *waiting) *line {
	if len(r.lines) == 0 || w.line != nil {
		return nil
	}
	l := r.lines[classOf(&w.wish)]
	if l == nil || l.members.len() == 0 || l.trying != nil {
		return nil
	}
	return l
}

// wake has those tried for whom a host may have room now.
func (r *room) wake(h *host, now time.Time) {
	if h == nil {
		return
	}
	for _, l := range r.lines {
		if !l.due && h.refuses(&l.wish).why == fits {
			l.due = true
			r.try(l, now)
		}
	}
}

// try activates the first of a line that is due, when its back-off is over.
func (r *room) try(l *line, now time.Time) {
	if !l.due || l.trying != nil || l.members.len() == 0 || l.at >= 0 {
		return
	}
	if l.until.After(now) {
		r.late.push(l)
		return
	}
	w := l.members.pop()
	l.trying = w
	r.activate(w)
}

// placed goes on with the next of the line when there was room for the one that was tried.
func (r *room) placed(w *waiting, now time.Time) {
	if l := w.line; l != nil && l.trying == w {
		l.failures, l.until = 0, time.Time{}
	}
	r.leave(w, now)
}

// elapse activates all whose time has come, and says when it is to be called again.
func (r *room) elapse(now time.Time) (next time.Time) {
	for r.resting.len() > 0 && !r.resting.first().until.After(now) {
		r.activate(r.resting.pop())
	}
	for r.late.len() > 0 && !r.late.first().until.After(now) {
		r.try(r.late.pop(), now)
	}
	if !r.refreshed.IsZero() && now.Sub(r.refreshed) >= refreshPeriod {
		for _, l := range r.lines {
			r.refresh(l)
		}
	}
	if r.refreshed.IsZero() || now.Sub(r.refreshed) >= refreshPeriod {
		r.refreshed = now
	}
	next = r.refreshed.Add(refreshPeriod)
	if r.resting.len() > 0 && r.resting.first().until.Before(next) {
		next = r.resting.first().until
	}
	if r.late.len() > 0 && r.late.first().until.Before(next) {
		next = r.late.first().until
	}
	return next
}

// refresh has every member of a line decided anew.
func (r *room) refresh(l *line) {
	for l.members.len() > 0 {
		w := l.members.pop()
		w.line = nil
		r.activate(w)
	}
	if l.trying != nil {
		l.trying.line = nil
		l.trying = nil
	}
	r.tidy(l)
}
