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

package hostlifecycle

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// withUnknown is the host with a condition Ready that says that it is silent.
func withUnknown(host *v1alpha1.Host, now time.Time) *v1alpha1.Host {
	changed := host.DeepCopy()
	condition := metav1.Condition{
		Type: v1alpha1.HostConditionReady, Status: metav1.ConditionUnknown,
		Reason: "HostStatusUnknown", Message: "the host's agent has stopped renewing its lease",
		// No observedGeneration: the taint that comes next would make it look outdated.
		LastTransitionTime: metav1.NewTime(now),
	}
	if readyOf(host).Status == "" {
		condition.Reason, condition.Message = "HostStatusNeverUpdated", "the host's agent has never said whether it is ready"
	}
	meta.SetStatusCondition(&changed.Status.Conditions, condition)
	// Ready comes first, also where it was not there before.
	slices.SortStableFunc(changed.Status.Conditions, func(a, b metav1.Condition) int {
		return cmp.Compare(rank(a), rank(b))
	})
	return changed
}

func rank(c metav1.Condition) int {
	if c.Type == v1alpha1.HostConditionReady {
		return 0
	}
	return 1
}

// ours says whether a taint is this controller's to set and to take off.
func ours(taint v1alpha1.Taint) bool {
	return taint.Key == v1alpha1.TaintHostNotReady || taint.Key == v1alpha1.TaintHostUnreachable
}

func evictsForUs(taint v1alpha1.Taint) bool {
	return ours(taint) && taint.Effect == v1alpha1.TaintEffectNoExecute
}

// permission is what the monitor says about a host's taint NoExecute.
type permission struct {
	// evict says that the host's turn has come.
	evict bool
	// halt takes the taint off again: no host of the fleet is ready.
	halt bool
}

// desiredTaints are the taints that a host should have. NoSchedule follows the condition at
// once. NoExecute begins when the host's turn has come; from then on it follows, too, so that
// a host that was not ready and then falls silent does not wait for another turn.
func desiredTaints(host *v1alpha1.Host, may permission) []v1alpha1.Taint {
	ready := readyOf(host)
	if ready.Status == "" {
		// It has only registered, perhaps with a taint of ours of its own.
		return host.Spec.Taints
	}
	key := v1alpha1.TaintHostNotReady
	if ready.Status == metav1.ConditionUnknown {
		key = v1alpha1.TaintHostUnreachable
	}
	wanted := map[v1alpha1.TaintEffect]bool{}
	if ready.Status != metav1.ConditionTrue {
		wanted[v1alpha1.TaintEffectNoSchedule] = true
		wanted[v1alpha1.TaintEffectNoExecute] = !may.halt && (may.evict || slices.ContainsFunc(host.Spec.Taints, evictsForUs))
	}
	var desired []v1alpha1.Taint
	for _, taint := range host.Spec.Taints {
		if !ours(taint) || (taint.Key == key && wanted[taint.Effect]) {
			desired = append(desired, taint)
			if ours(taint) {
				delete(wanted, taint.Effect)
			}
		}
	}
	for _, effect := range []v1alpha1.TaintEffect{v1alpha1.TaintEffectNoSchedule, v1alpha1.TaintEffectNoExecute} {
		if wanted[effect] {
			desired = append(desired, v1alpha1.Taint{Key: key, Effect: effect})
		}
	}
	return desired
}

// withDefaults are an instance's tolerations, and those that it has without saying so: who
// says nothing about hosts that are not ready, or unreachable, tolerates them for a while.
// Kubernetes writes these into pods at admission (DefaultTolerationSeconds); here they are
// the controller's, and can be changed for all instances at once.
func withDefaults(tolerations []v1alpha1.Toleration, period time.Duration) []v1alpha1.Toleration {
	all := slices.Clone(tolerations)
	for _, key := range []string{v1alpha1.TaintHostNotReady, v1alpha1.TaintHostUnreachable} {
		if slices.ContainsFunc(tolerations, func(t v1alpha1.Toleration) bool {
			return (t.Key == "" || t.Key == key) && (t.Effect == "" || t.Effect == v1alpha1.TaintEffectNoExecute)
		}) {
			continue
		}
		seconds := int64(period / time.Second)
		all = append(all, v1alpha1.Toleration{Key: key, Operator: v1alpha1.TolerationOpExists, Effect: v1alpha1.TaintEffectNoExecute, TolerationSeconds: &seconds})
	}
	return all
}

// memory is what is remembered of a host between two reconciliations of it.
type memory struct {
	// missing is since when there has been no such host; zero where there is.
	missing time.Time
	// marked says that its instances have been told that it is not ready.
	marked bool
	// tolerated is since when each instance has stayed in spite of a taint that it tolerates
	// for a while only. Taints do not say since when they are there, so after a restart of
	// the controller the time begins anew, as in Kubernetes.
	tolerated map[types.UID]time.Time
}

// plan is what is to be done about a host's instances.
type plan struct {
	// unready are no longer ready.
	unready []*v1alpha1.Instance
	// evict are deleted; their host's agent ends them, when it can.
	evict []*v1alpha1.Instance
	// remove are deleted at once: nobody is left to end them.
	remove []*v1alpha1.Instance
	// ask says that the server must confirm first that the host is gone.
	ask bool
	// again is when to look once more, though nothing happens; zero for never.
	again time.Duration
}

// decide says what is to be done about the instances of a host, nil for one that does not
// exist. It updates what is remembered.
func decide(host *v1alpha1.Host, instances []*v1alpha1.Instance, m *memory, o Options, now time.Time) plan {
	if host == nil {
		return decideMissing(instances, m, o, now)
	}
	m.missing = time.Time{}
	var p plan
	ready := readyOf(host)
	if ready.Status == metav1.ConditionTrue {
		m.marked = false
	} else if ready.Status != "" && !m.marked {
		for _, i := range instances {
			if helper.IsInstanceReady(i) && !helper.IsInstanceTerminal(i) {
				p.unready = append(p.unready, i)
			}
		}
	}
	outOfService := ready.Status != metav1.ConditionTrue && slices.ContainsFunc(host.Spec.Taints, func(t v1alpha1.Taint) bool { return t.Key == v1alpha1.TaintHostOutOfService })
	tolerated := map[types.UID]time.Time{}
	for _, i := range instances {
		switch {
		case i.DeletionTimestamp != nil:
			if outOfService {
				p.remove = append(p.remove, i)
			}
		case helper.IsInstanceTerminal(i): // runs nowhere, and harms nobody
		default:
			p.tolerate(host, i, m, tolerated, o, now)
		}
	}
	m.tolerated = tolerated
	return p
}

// tolerate adds an instance to those that are evicted, when its time is over, and else says
// when it will be.
func (p *plan) tolerate(host *v1alpha1.Host, i *v1alpha1.Instance, m *memory, tolerated map[types.UID]time.Time, o Options, now time.Time) {
	tolerance := helper.MinTolerationTime(host.Spec.Taints, withDefaults(i.Spec.Tolerations, o.Toleration))
	if tolerance.Forever {
		return
	}
	since, found := m.tolerated[i.UID]
	if !found {
		since = now
	}
	tolerated[i.UID] = since
	if left := tolerance.For - now.Sub(since); left > 0 {
		p.lookAgain(left)
	} else {
		p.evict = append(p.evict, i)
	}
}

func (p *plan) lookAgain(after time.Duration) {
	if p.again == 0 || after < p.again {
		p.again = after
	}
}

// decideMissing waits before it believes that a host is gone: instances may be known before
// their host is, and a host that is deleted and registers again keeps what it runs.
func decideMissing(instances []*v1alpha1.Instance, m *memory, o Options, now time.Time) plan {
	m.tolerated, m.marked = nil, false
	if len(instances) == 0 {
		m.missing = time.Time{}
		return plan{}
	}
	if m.missing.IsZero() {
		m.missing = now
	}
	if left := o.Quarantine - now.Sub(m.missing); left > 0 {
		return plan{again: left}
	}
	return plan{ask: true, remove: instances}
}

// withHostNotReady is the instance with a condition Ready that is False.
func withHostNotReady(i *v1alpha1.Instance, now time.Time) *v1alpha1.Instance {
	changed := i.DeepCopy()
	meta.SetStatusCondition(&changed.Status.Conditions, metav1.Condition{
		Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionFalse,
		Reason: "HostNotReady", Message: "host " + i.Spec.HostName + " is not ready",
		ObservedGeneration: i.Generation, LastTransitionTime: metav1.NewTime(now),
	})
	return changed
}
