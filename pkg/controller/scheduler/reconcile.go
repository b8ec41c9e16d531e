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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// Reasons of a condition Scheduled that is False.
const (
	// reasonUnschedulable: no host has room.
	reasonUnschedulable = "Unschedulable"
	// reasonBindingRefused: a host was chosen, and a policy, a quota, a webhook or the server
	// itself refused the binding.
	reasonBindingRefused = "BindingRefused"
)

// confirmAfter is how long the watch may take to tell of a binding before the server is asked
// what became of it: far longer than a watch is ever late.
const confirmAfter = time.Minute

// state is everything that is known and decided. It is pure: it has no client and no clock,
// and is not safe for concurrent use.
type state struct {
	cache *cache
	room  *room
}

func newState() *state { return &state{cache: newCache(), room: newRoom()} }

func keyOf(object metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// setHost takes over what the watch tells of a host.
func (s *state) setHost(object *v1alpha1.Host, now time.Time) {
	s.room.wake(s.cache.setHost(object), now)
}

// setInstance takes over what the watch tells of an instance.
func (s *state) setInstance(object *v1alpha1.Instance, now time.Time) {
	key := keyOf(object)
	w, p := s.room.all[key], s.cache.placed[key]
	if w != nil && w.instance.UID != object.UID {
		s.forget(w, now)
		w, p = nil, nil
	}
	switch {
	case object.Spec.HostName != "":
		if w != nil {
			s.room.drop(w, now)
		}
		s.room.wake(s.cache.bind(key, object), now)
	case p != nil && p.uid == object.UID && !p.assumed:
		// Nobody is ever unbound: this was sent before the binding of which we know already.
	case !helper.IsInstanceActive(object):
		if w != nil {
			s.forget(w, now)
		} else {
			s.room.wake(s.cache.remove(key), now)
		}
	case w == nil:
		s.room.wake(s.cache.remove(key), now)
		w := s.room.add(key, object)
		if scheduled := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.InstanceConditionScheduled); scheduled != nil && (scheduled.Reason == reasonUnschedulable || scheduled.Reason == reasonBindingRefused) {
			w.said = scheduled.Message
		}
	default:
		s.changed(w, object, now)
	}
}

// changed takes over a waiting instance that was written. One that tolerates more than before
// may fit now.
func (s *state) changed(w *waiting, object *v1alpha1.Instance, now time.Time) {
	more := len(w.instance.Spec.Tolerations) != len(object.Spec.Tolerations)
	w.instance = object
	if !more {
		return
	}
	w.wish = wishOf(object)
	if w.where == active || w.where == parked {
		s.room.leave(w, now)
		s.room.activate(w)
	}
}

// forget drops a waiting instance and what was assumed of it.
func (s *state) forget(w *waiting, now time.Time) {
	s.room.drop(w, now)
	s.room.wake(s.cache.remove(w.key), now)
}

// removeInstance takes over that an instance is gone.
func (s *state) removeInstance(key types.NamespacedName, now time.Time) {
	if w := s.room.all[key]; w != nil {
		s.room.drop(w, now)
	}
	s.room.wake(s.cache.remove(key), now)
}

// decision is what is to be done about one instance: bind it, say why it fits nowhere, or ask
// the server what became of its binding.
type decision struct {
	instance *v1alpha1.Instance
	// host is where it is to be bound.
	host string
	// message is what is to be said, and reason a word for it.
	reason, message string
	// ask is true when the watch has not told of a binding for too long.
	ask bool
}

// next decides about the next instance. Without one it says when it is to be asked again
// at the latest.
func (s *state) next(now time.Time) (*decision, time.Time) {
	until := s.room.elapse(now)
	for s.room.active.len() > 0 {
		w := s.room.active.pop()
		w.where = out
		if d := s.decide(w, now); d != nil {
			return d, until
		}
	}
	return nil, until
}

// decide says what is to be done about one instance that is in no line; nil for nothing.
func (s *state) decide(w *waiting, now time.Time) *decision {
	if w.sure {
		return &decision{instance: w.instance, ask: true}
	}
	if p := s.cache.placed[w.key]; w.unclear && p != nil {
		return &decision{instance: w.instance, host: p.host.name}
	}
	if l := s.room.behind(w); l != nil {
		s.room.park(w, false, "", now)
		return s.say(w, reasonUnschedulable, l.message)
	}
	h := s.cache.place(&w.wish)
	if h == nil {
		message := s.cache.explain(&w.wish)
		s.room.park(w, true, message, now)
		return s.say(w, reasonUnschedulable, message)
	}
	s.cache.assume(w.key, w.instance.UID, w.wish.demand, h)
	s.room.placed(w, now)
	return &decision{instance: w.instance, host: h.name}
}

// say is nil when it has been said already.
func (s *state) say(w *waiting, reason, message string) *decision {
	if w.said == message {
		return nil
	}
	w.said = message
	return &decision{instance: w.instance, reason: reason, message: message}
}

// refusal is what to say of an instance whose binding was not done; nil when it has been said,
// or the watch was faster.
func (s *state) refusal(object *v1alpha1.Instance, message string) *decision {
	w := s.room.all[keyOf(object)]
	if w == nil || w.instance.UID != object.UID {
		return nil
	}
	return s.say(w, reasonBindingRefused, message)
}

// answeredWith keeps what a binding was answered with that somebody seems to have overtaken: when
// the instance turns out not to be bound, that is why.
func (s *state) answeredWith(object *v1alpha1.Instance, message string) {
	if w := s.room.all[keyOf(object)]; w != nil && w.instance.UID == object.UID {
		w.answer = message
	}
}

// verdict is what became of a binding that was sent.
type verdict int

const (
	// bound: the server has done it. The watch tells.
	bound verdict = iota
	// overtaken: the server says that the instance is bound, is being deleted or is another.
	// The watch tells of each of them, and soon. But an admission webhook may have said it.
	overtaken
	// refused: it was not done.
	refused
	// unclear: it may have been done.
	unclear
)

// finished takes over what became of a binding.
func (s *state) finished(object *v1alpha1.Instance, v verdict, now time.Time) {
	w := s.room.all[keyOf(object)]
	if w == nil || w.instance.UID != object.UID || w.where != out {
		return // the watch was faster
	}
	switch {
	case v == bound:
		w.sure = true
		s.room.rest(w, now.Add(confirmAfter))
	case v == overtaken:
		w.failures++
		w.sure = true
		s.room.rest(w, now.Add(backoff(w.failures)))
	case v == refused && w.unclear:
		// This one was not done, but the one before may have been.
		w.failures++
		w.sure = true
		s.room.rest(w, now.Add(backoff(w.failures)))
	case v == refused:
		w.failures++
		// It goes to the end, or one that is always refused would always be first to take
		// the room that others wait for.
		s.room.arrived++
		w.arrival = s.room.arrived
		s.room.rest(w, now.Add(backoff(w.failures)))
		s.room.wake(s.cache.remove(w.key), now)
	default:
		w.failures++
		w.unclear = true
		s.room.rest(w, now.Add(backoff(w.failures)))
	}
}

// answered takes over what the server said about a binding of which the watch did not tell;
// nil for an instance that is gone.
func (s *state) answered(asked, live *v1alpha1.Instance, now time.Time) *decision {
	w := s.room.all[keyOf(asked)]
	if w == nil || w.instance.UID != asked.UID || w.where != out {
		return nil
	}
	w.sure, w.unclear = false, false
	switch {
	case live == nil || live.UID != asked.UID:
		// Of another of the same name the watch will tell, after what it has still to tell
		// of this one.
		s.forget(w, now)
	case live.Spec.HostName == "" && helper.IsInstanceActive(live):
		s.room.wake(s.cache.remove(w.key), now)
		s.room.activate(w)
		if w.answer != "" {
			return s.say(w, reasonBindingRefused, w.answer)
		}
	default:
		s.setInstance(live, now)
	}
	return nil
}

// unanswered has the server asked again later.
func (s *state) unanswered(asked *v1alpha1.Instance, now time.Time) {
	if w := s.room.all[keyOf(asked)]; w != nil && w.instance.UID == asked.UID && w.where == out {
		s.room.rest(w, now.Add(lastBackoff))
	}
}

// toSay is what is still to be written of a message that was decided: nil when a later decision
// has overtaken it. The instance is the newest that is known, or the write would conflict.
func (s *state) toSay(d *decision) *v1alpha1.Instance {
	w := s.room.all[keyOf(d.instance)]
	if w == nil || w.instance.UID != d.instance.UID || w.said != d.message {
		return nil
	}
	return w.instance
}

// unsaid takes back that a message was written.
func (s *state) unsaid(asked *v1alpha1.Instance) {
	if w := s.room.all[keyOf(asked)]; w != nil && w.instance.UID == asked.UID {
		w.said = ""
	}
}

// withMessage is the instance with a condition that says why it is not bound; nil when it says
// so already, or nobody needs to know any more.
func withMessage(object *v1alpha1.Instance, reason, message string, now time.Time) *v1alpha1.Instance {
	if object.Spec.HostName != "" || !helper.IsInstanceActive(object) {
		return nil
	}
	changed := object.DeepCopy()
	if !meta.SetStatusCondition(&changed.Status.Conditions, metav1.Condition{
		Type:               v1alpha1.InstanceConditionScheduled,
		Status:             metav1.ConditionFalse,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: object.Generation,
		LastTransitionTime: metav1.NewTime(now),
	}) {
		return nil
	}
	return changed
}
