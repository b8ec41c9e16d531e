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
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// story is a state, a clock and a sequence of events.
type story struct {
	*testing.T
	*state
	now time.Time
}

func begin(t *testing.T, hosts ...*v1alpha1.Host) *story {
	return &story{t, stateWith(hosts), start}
}

func (s *story) create(instances ...*v1alpha1.Instance) {
	for _, i := range instances {
		s.setInstance(i, s.now)
	}
}

func (s *story) expect(lines ...string) {
	s.Helper()
	if got := drain(s.state, s.now); !slices.Equal(got, lines) {
		s.Fatalf("decided\n%q\nnot\n%q", got, lines)
	}
}

func (s *story) used(host string) int64 { return s.cache.hosts[host].used.milliCPU }

const nothingFits = "0/1 hosts are available: 1 insufficient cpu"

func TestOnlyActiveUnboundInstancesAreDecided(t *testing.T) {
	for _, tc := range []struct {
		name     string
		instance *v1alpha1.Instance
		want     []string
	}{
		{"a new one", newInstance("x"), []string{"bind x a"}},
		{"a bound one", newInstance("x", boundTo("a")), nil},
		{"one bound to an unknown host", newInstance("x", boundTo("z")), nil},
		{"one that is being deleted", newInstance("x", beingDeleted), nil},
		{"one that has failed", newInstance("x", ended(v1alpha1.InstanceFailed)), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := begin(t, readyHost("a"))
			s.create(tc.instance)
			s.expect(tc.want...)
		})
	}
}

func TestInstancesAreDecidedInOrderOfArrival(t *testing.T) {
	s := begin(t, readyHost("a"))
	s.create(newInstance("c"), newInstance("a"), newInstance("b"))
	s.expect("bind c a", "bind a a", "bind b a")
}

func TestADecisionCountsBeforeTheWatchShowsIt(t *testing.T) {
	s := begin(t, readyHost("a"))
	s.create(newInstance("x", asking("cpu", "3")), newInstance("y", asking("cpu", "2")))
	s.expect("bind x a", "report y "+nothingFits)
	// The response to the binding arrives, and then its watch event; resources are allocated once.
	s.finished(newInstance("x", asking("cpu", "3")), bound, s.now)
	s.create(newInstance("x", asking("cpu", "3"), boundTo("a")))
	if s.used("a") != 3000 || len(s.queue.all) != 1 {
		t.Errorf("%d used, %d wait", s.used("a"), len(s.queue.all))
	}
}

func TestARefusedBindingIsRetriedLaterAndAllocatesNothing(t *testing.T) {
	s := begin(t, readyHost("a"))
	x, y := newInstance("x", asking("cpu", "3")), newInstance("y", asking("cpu", "2"))
	s.create(x, y)
	s.expect("bind x a", "report y "+nothingFits)
	s.finished(x, refused, s.now)
	if s.used("a") != 0 {
		t.Errorf("%d used", s.used("a"))
	}
	s.expect()
	s.now = s.now.Add(firstBackoff)
	// A refused instance moves to the end of the queue, or it would block others forever.
	s.expect("bind y a", "report x "+nothingFits)
}

func TestABindingWithoutAnAnswerStaysAssumedAndIsRetriedOnTheSameHost(t *testing.T) {
	s := begin(t, readyHost("a"), readyHost("b"))
	x := newInstance("x")
	s.create(x)
	d, _ := s.next(s.now)
	s.finished(x, unknownOutcome, s.now)
	if s.used(d.host) != 1000 {
		t.Errorf("%d used", s.used(d.host))
	}
	s.expect()
	s.now = s.now.Add(firstBackoff)
	s.expect("bind x " + d.host)
	// The binding had been written: the server returns a conflict, and the watch shows it.
	s.finished(x, bound, s.now)
	s.create(newInstance("x", boundTo(d.host)))
	if s.used(d.host) != 1000 || len(s.queue.all) != 0 {
		t.Errorf("%d used, %d wait", s.used(d.host), len(s.queue.all))
	}
}

func TestARefusalAfterABindingThatWasNotAnsweredProvesNothing(t *testing.T) {
	s := begin(t, readyHost("a"))
	x := newInstance("x")
	s.create(x)
	s.expect("bind x a")
	s.finished(x, unknownOutcome, s.now)
	s.now = s.now.Add(firstBackoff)
	s.expect("bind x a")
	s.finished(x, refused, s.now)
	s.now = s.now.Add(lastBackoff)
	s.expect("confirm x")
	if s.used("a") != 1000 {
		t.Errorf("%d used", s.used("a"))
	}
}

func TestABindingThatTheWatchDoesNotShowIsConfirmed(t *testing.T) {
	for _, tc := range []struct {
		name string
		live *v1alpha1.Instance
		want []string
		used int64
	}{
		{"it is bound, as was decided", newInstance("x", boundTo("a")), nil, 1000},
		{"it is bound to another host", newInstance("x", boundTo("z")), nil, 0},
		{"it is gone", nil, nil, 0},
		{"it is being deleted", newInstance("x", beingDeleted), nil, 0},
		{"it is not bound after all", newInstance("x"), []string{"bind x a"}, 1000},
		{"it is another of the same name", newInstance("x", func(i *v1alpha1.Instance) { i.UID = "other" }), nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := begin(t, readyHost("a"))
			x := newInstance("x")
			s.create(x)
			s.expect("bind x a")
			s.finished(x, bound, s.now)
			s.now = s.now.Add(confirmAfter - 1)
			s.expect()
			s.now = s.now.Add(1)
			s.expect("confirm x")
			s.confirmFailed(x, s.now)
			s.now = s.now.Add(lastBackoff)
			s.expect("confirm x")
			s.confirmed(x, tc.live, s.now)
			s.expect(tc.want...)
			if s.used("a") != tc.used {
				t.Errorf("%d used, not %d", s.used("a"), tc.used)
			}
			// A late watch event does not change a bound instance.
			if tc.live != nil && tc.live.Spec.HostName != "" {
				s.create(newInstance("x"))
				s.expect()
			}
		})
	}
}

func TestAConflictIsConfirmedWithBackoff(t *testing.T) {
	s := begin(t, readyHost("a"))
	x := newInstance("x")
	s.create(x)
	for failures := 1; failures <= 3; failures++ {
		s.expect("bind x a")
		s.finished(x, conflicted, s.now)
		s.now = s.now.Add(backoff(failures) - 1)
		s.expect()
		s.now = s.now.Add(1)
		s.expect("confirm x")
		if s.used("a") != 1000 {
			t.Errorf("%d used while the binding is uncertain", s.used("a"))
		}
		s.confirmed(x, newInstance("x"), s.now)
	}
}

func TestAMessageIsReportedOnce(t *testing.T) {
	s := begin(t, readyHost("a", cordoned))
	const message = "0/1 hosts are available: 1 unschedulable"
	s.create(newInstance("x", func(i *v1alpha1.Instance) {
		meta.SetStatusCondition(&i.Status.Conditions, metav1.Condition{Type: v1alpha1.InstanceConditionScheduled, Status: metav1.ConditionFalse, Reason: reasonUnschedulable, Message: message})
	}))
	s.expect()
	s.create(newInstance("y"))
	s.expect("report y " + message)
	if s.pendingReport(&decision{instance: newInstance("y"), message: "what was said before"}) != nil || s.pendingReport(&decision{instance: newInstance("y"), message: message}) == nil {
		t.Error("an older message is written, or the newest is not")
	}
}

func TestAnotherInstanceOfTheSameNameIsAnother(t *testing.T) {
	s := begin(t, readyHost("a"))
	x := newInstance("x")
	s.create(x)
	s.expect("bind x a")
	other := newInstance("x", func(i *v1alpha1.Instance) { i.UID = "other" })
	s.create(other)
	s.finished(x, refused, s.now) // too late to matter
	s.expect("bind x a")
	if s.used("a") != 1000 {
		t.Errorf("%d used", s.used("a"))
	}
}

func TestAHostThatComesBackHasItsInstances(t *testing.T) {
	s := begin(t, readyHost("a"))
	s.create(newInstance("there", asking("cpu", "4"), boundTo("a")))
	s.cache.removeHost("a")
	s.create(newInstance("x"))
	s.expect("report x 0/0 hosts are available: there are no hosts")
	s.now = s.now.Add(lastBackoff)
	s.setHost(readyHost("a"), s.now)
	s.expect()
	s.removeInstance(keyOf(newInstance("there")), s.now)
	s.expect("bind x a")
	s.removeInstance(keyOf(newInstance("x")), s.now)
	s.cache.removeHost("a")
	if len(s.cache.hosts) != 0 || len(s.cache.siblings) != 0 || len(s.cache.placed) != 0 || len(s.queue.classes) != 0 {
		t.Errorf("%d hosts, %d lines are remembered for nothing", len(s.cache.hosts), len(s.queue.classes))
	}
}

func TestTheConditionIsWrittenWhereItHelps(t *testing.T) {
	said := newInstance("x", func(i *v1alpha1.Instance) { i.Generation = 3 })
	written := withMessage(said, reasonUnschedulable, nothingFits, start)
	condition := meta.FindStatusCondition(written.Status.Conditions, v1alpha1.InstanceConditionScheduled)
	if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != "Unschedulable" || condition.Message != nothingFits || condition.ObservedGeneration != 3 || !condition.LastTransitionTime.Time.Equal(start) {
		t.Errorf("wrote %+v", condition)
	}
	if len(said.Status.Conditions) != 0 {
		t.Error("the informer's own object was changed")
	}
	for name, unneeded := range map[string]*v1alpha1.Instance{
		"said already": written, "bound": newInstance("x", boundTo("a")), "being deleted": newInstance("x", beingDeleted), "ended": newInstance("x", ended(v1alpha1.InstanceFailed)),
	} {
		if withMessage(unneeded, reasonUnschedulable, nothingFits, start) != nil {
			t.Errorf("written to one that is %s", name)
		}
	}
}

func TestARefusedBindingIsReportedOnce(t *testing.T) {
	const friday = "the binding to a host was refused: not on a Friday"
	s := begin(t, readyHost("a"))
	x := newInstance("x")
	s.create(x)
	for range 3 {
		s.expect("bind x a")
		s.finished(x, refused, s.now)
		if d := s.refusal(x, friday); (d != nil) != (s.queue.all[keyOf(x)].failures == 1) || d != nil && (d.reason != reasonBindingRefused || d.message != friday) {
			t.Fatalf("after failure %d the decision is %v", s.queue.all[keyOf(x)].failures, d)
		}
		s.now = s.now.Add(lastBackoff)
	}
	// The state after a restart has the reported message.
	said := withMessage(x, reasonBindingRefused, friday, s.now)
	again := begin(t, readyHost("a"))
	again.create(said)
	again.expect("bind x a")
	if d := again.refusal(said, friday); d != nil {
		t.Errorf("it is reported again: %v", d)
	}
	if d := s.refusal(newInstance("gone"), friday); d != nil {
		t.Errorf("an instance that is gone is reported: %v", d)
	}
}

func TestAConflictThatWasNoneIsReported(t *testing.T) {
	const webhook = "the binding to a host was refused: the webhook says conflict"
	s := begin(t, readyHost("a"))
	x := newInstance("x")
	s.create(x)
	s.expect("bind x a")
	s.finished(x, conflicted, s.now)
	s.noteConflict(x, webhook)
	s.now = s.now.Add(lastBackoff)
	s.expect("confirm x")
	if d := s.confirmed(x, newInstance("x"), s.now); d == nil || d.message != webhook {
		t.Errorf("the report is %v", d)
	}
	s.expect("bind x a")
}
