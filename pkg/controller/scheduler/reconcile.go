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
	// reasonUnschedulable: no host fits.
	reasonUnschedulable = "Unschedulable"
	// reasonBindingRefused: a policy, a quota, a webhook or the server itself refused the binding
	// to a host.
	reasonBindingRefused = "BindingRefused"
)

// confirmAfter is the time that the watch may take to show a binding before the instance is read
// from the server: far longer than any watch latency.
const confirmAfter = time.Minute

// state is the cache of hosts and the queue of instances. It is pure: it has no client and no
// clock, and is not safe for concurrent use.
type state struct {
	cache *cache
	queue *schedulingQueue
}

func newState() *state { return &state{cache: newCache(), queue: newSchedulingQueue()} }

func keyOf(object metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// setHost handles an add or update event of a host.
func (s *state) setHost(object *v1alpha1.Host, now time.Time) {
	s.queue.wake(s.cache.setHost(object), now)
}

// setInstance handles an add or update event of an instance.
func (s *state) setInstance(object *v1alpha1.Instance, now time.Time) {
	key := keyOf(object)
	w, p := s.queue.all[key], s.cache.placed[key]
	if w != nil && w.instance.UID != object.UID {
		s.forget(w, now)
		w, p = nil, nil
	}
	switch {
	case object.Spec.HostName != "":
		if w != nil {
			s.queue.drop(w, now)
		}
		s.queue.wake(s.cache.bind(key, object), now)
	case p != nil && p.uid == object.UID && !p.assumed:
		// Bindings are permanent: this event is older than the binding that has been seen.
	case !helper.IsInstanceActive(object):
		if w != nil {
			s.forget(w, now)
		} else {
			s.queue.wake(s.cache.remove(key), now)
		}
	case w == nil:
		s.queue.wake(s.cache.remove(key), now)
		w := s.queue.add(key, object)
		if scheduled := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.InstanceConditionScheduled); scheduled != nil && (scheduled.Reason == reasonUnschedulable || scheduled.Reason == reasonBindingRefused) {
			w.reported = scheduled.Message
		}
	default:
		s.changed(w, object, now)
	}
}

// changed updates a waiting instance. One that tolerates more than before may fit now.
func (s *state) changed(w *waiting, object *v1alpha1.Instance, now time.Time) {
	more := len(w.instance.Spec.Tolerations) != len(object.Spec.Tolerations)
	w.instance = object
	if !more {
		return
	}
	w.requirements = requirementsOf(object)
	if w.position == active || w.position == parked {
		s.queue.leave(w, now)
		s.queue.activate(w)
	}
}

// forget drops a waiting instance and its assumption.
func (s *state) forget(w *waiting, now time.Time) {
	s.queue.drop(w, now)
	s.queue.wake(s.cache.remove(w.key), now)
}

// removeInstance handles the delete event of an instance.
func (s *state) removeInstance(key types.NamespacedName, now time.Time) {
	if w := s.queue.all[key]; w != nil {
		s.queue.drop(w, now)
	}
	s.queue.wake(s.cache.remove(key), now)
}

// decision is the action for one instance: bind it, report why it does not fit, or confirm what
// became of its binding.
type decision struct {
	instance *v1alpha1.Instance
	// host is the host to bind to.
	host string
	// reason and message are those of the condition to report.
	reason, message string
	// confirm is set if the watch has not shown a binding for too long.
	confirm bool
}

// next decides about the next instance. Without one it returns nil, and the time at which it must
// be called again at the latest.
func (s *state) next(now time.Time) (*decision, time.Time) {
	until := s.queue.elapse(now)
	for s.queue.active.len() > 0 {
		w := s.queue.active.pop()
		w.position = inFlight
		if d := s.decide(w, now); d != nil {
			return d, until
		}
	}
	return nil, until
}

// decide returns the action for one instance that was taken from the queue; nil for none.
func (s *state) decide(w *waiting, now time.Time) *decision {
	if w.confirming {
		return &decision{instance: w.instance, confirm: true}
	}
	if p := s.cache.placed[w.key]; w.unknown && p != nil {
		return &decision{instance: w.instance, host: p.host.name}
	}
	if l := s.queue.behind(w); l != nil {
		s.queue.park(w, false, "", now)
		return s.report(w, reasonUnschedulable, l.message)
	}
	h := s.cache.place(&w.requirements)
	if h == nil {
		message := s.cache.explain(&w.requirements)
		s.queue.park(w, true, message, now)
		return s.report(w, reasonUnschedulable, message)
	}
	s.cache.assume(w.key, w.instance.UID, w.requirements.demand, h)
	s.queue.placed(w, now)
	return &decision{instance: w.instance, host: h.name}
}

// report returns nil if the message has been reported already.
func (s *state) report(w *waiting, reason, message string) *decision {
	if w.reported == message {
		return nil
	}
	w.reported = message
	return &decision{instance: w.instance, reason: reason, message: message}
}

// refusal returns the report about a binding that failed; nil if it has been reported, or if the
// watch shows the instance bound or gone.
func (s *state) refusal(object *v1alpha1.Instance, message string) *decision {
	w := s.queue.all[keyOf(object)]
	if w == nil || w.instance.UID != object.UID {
		return nil
	}
	return s.report(w, reasonBindingRefused, message)
}

// noteConflict records the message of a binding that conflicted: if the instance turns out not to
// be bound, that is why.
func (s *state) noteConflict(object *v1alpha1.Instance, message string) {
	if w := s.queue.all[keyOf(object)]; w != nil && w.instance.UID == object.UID {
		w.conflict = message
	}
}

// verdict is the outcome of a binding.
type verdict int

const (
	// bound: it was written, and the watch will show it.
	bound verdict = iota
	// conflicted: according to the server the instance is bound, is being deleted or was
	// recreated. The watch shows each of them soon. But the answer may be an admission webhook's.
	conflicted
	// refused: it was not written.
	refused
	// unknownOutcome: it may have been written.
	unknownOutcome
)

// finished handles the outcome of a binding.
func (s *state) finished(object *v1alpha1.Instance, v verdict, now time.Time) {
	w := s.queue.all[keyOf(object)]
	if w == nil || w.instance.UID != object.UID || w.position != inFlight {
		return // the watch has shown the outcome already
	}
	switch {
	case v == bound:
		w.confirming = true
		s.queue.backOff(w, now.Add(confirmAfter))
	case v == conflicted:
		w.failures++
		w.confirming = true
		s.queue.backOff(w, now.Add(backoff(w.failures)))
	case v == refused && w.unknown:
		// This one was not written, but the one before may have been.
		w.failures++
		w.confirming = true
		s.queue.backOff(w, now.Add(backoff(w.failures)))
	case v == refused:
		w.failures++
		// It becomes the last one. Otherwise an instance that is always refused would always be
		// the first to allocate the resources that others wait for.
		s.queue.arrived++
		w.arrival = s.queue.arrived
		s.queue.backOff(w, now.Add(backoff(w.failures)))
		s.queue.wake(s.cache.remove(w.key), now)
	default:
		w.failures++
		w.unknown = true
		s.queue.backOff(w, now.Add(backoff(w.failures)))
	}
}

// confirmed handles the instance that was read from the server because the watch did not show its
// binding; live is nil if it is gone.
func (s *state) confirmed(asked, live *v1alpha1.Instance, now time.Time) *decision {
	w := s.queue.all[keyOf(asked)]
	if w == nil || w.instance.UID != asked.UID || w.position != inFlight {
		return nil
	}
	w.confirming, w.unknown = false, false
	switch {
	case live == nil || live.UID != asked.UID:
		// The watch will show a recreated instance, after the pending events of this one.
		s.forget(w, now)
	case live.Spec.HostName == "" && helper.IsInstanceActive(live):
		s.queue.wake(s.cache.remove(w.key), now)
		s.queue.activate(w)
		if w.conflict != "" {
			return s.report(w, reasonBindingRefused, w.conflict)
		}
	default:
		s.setInstance(live, now)
	}
	return nil
}

// confirmFailed reads the instance from the server again later.
func (s *state) confirmFailed(asked *v1alpha1.Instance, now time.Time) {
	if w := s.queue.all[keyOf(asked)]; w != nil && w.instance.UID == asked.UID && w.position == inFlight {
		s.queue.backOff(w, now.Add(lastBackoff))
	}
}

// pendingReport returns the instance to which a decided message is to be written, as last seen, or
// the write would conflict; nil if a later decision has superseded the message.
func (s *state) pendingReport(d *decision) *v1alpha1.Instance {
	w := s.queue.all[keyOf(d.instance)]
	if w == nil || w.instance.UID != d.instance.UID || w.reported != d.message {
		return nil
	}
	return w.instance
}

// reportFailed drops the record that a message was written.
func (s *state) reportFailed(asked *v1alpha1.Instance) {
	if w := s.queue.all[keyOf(asked)]; w != nil && w.instance.UID == asked.UID {
		w.reported = ""
	}
}

// withMessage returns the instance with a condition Scheduled that is False; nil if it has that
// already, or is bound or no longer active.
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
