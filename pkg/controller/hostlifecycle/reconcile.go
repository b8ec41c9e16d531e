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

// withUnknown returns the host with a condition Ready that is Unknown.
func withUnknown(host *v1alpha1.Host, now time.Time) *v1alpha1.Host {
	changed := host.DeepCopy()
	condition := metav1.Condition{
		Type: v1alpha1.HostConditionReady, Status: metav1.ConditionUnknown,
		Reason: "HostStatusUnknown", Message: "the host's agent has stopped renewing its lease",
		// No observedGeneration: the taint that comes next would make it look outdated.
		LastTransitionTime: metav1.NewTime(now),
	}
	if readyOf(host).Status == "" {
		condition.Reason, condition.Message = "HostStatusNeverUpdated", "the host's agent has never reported whether it is ready"
	}
	meta.SetStatusCondition(&changed.Status.Conditions, condition)
	// Ready comes first, also if it is new.
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

// isOwned reports whether this controller sets and removes a taint.
func isOwned(taint v1alpha1.Taint) bool {
	return taint.Key == v1alpha1.TaintHostNotReady || taint.Key == v1alpha1.TaintHostUnreachable
}

func isOwnedEviction(taint v1alpha1.Taint) bool {
	return isOwned(taint) && taint.Effect == v1alpha1.TaintEffectNoExecute
}

// evictionState is the monitor's decision about a host's taint NoExecute.
type evictionState struct {
	// evict is set if evictions were granted.
	evict bool
	// halt removes the taint again: no host of the fleet is ready.
	halt bool
}

// desiredTaints returns the taints that a host should have. NoSchedule follows the condition at once.
// NoExecute starts when evictions are granted; from then on it follows the condition, too, so that
// a host that was not ready and then becomes silent needs no second grant.
func desiredTaints(host *v1alpha1.Host, may evictionState) []v1alpha1.Taint {
	ready := readyOf(host)
	if ready.Status == "" {
		// It has only registered, perhaps with one of these taints.
		return host.Spec.Taints
	}
	key := v1alpha1.TaintHostNotReady
	if ready.Status == metav1.ConditionUnknown {
		key = v1alpha1.TaintHostUnreachable
	}
	wanted := map[v1alpha1.TaintEffect]bool{}
	if ready.Status != metav1.ConditionTrue {
		wanted[v1alpha1.TaintEffectNoSchedule] = true
		wanted[v1alpha1.TaintEffectNoExecute] = !may.halt && (may.evict || slices.ContainsFunc(host.Spec.Taints, isOwnedEviction))
	}
	var desired []v1alpha1.Taint
	for _, taint := range host.Spec.Taints {
		if !isOwned(taint) || (taint.Key == key && wanted[taint.Effect]) {
			desired = append(desired, taint)
			if isOwned(taint) {
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

// withDefaults returns an instance's tolerations and the default ones: an instance without a
// toleration of hosts that are not ready, or unreachable, tolerates them for a period. Kubernetes
// adds these to pods at admission (DefaultTolerationSeconds); here the controller applies them, so
// that they can be changed for all instances at once.
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

// memory is the state of a host between two reconciliations.
type memory struct {
	// missing is since when the host has not existed; zero if it exists.
	missing time.Time
	// marked is set if its instances have been marked as not ready.
	marked bool
	// tolerated is since when each instance has tolerated a taint that it tolerates for a limited
	// time. Taints have no start time, so the time starts again after a restart of the
	// controller, as in Kubernetes.
	tolerated map[types.UID]time.Time
}

// plan is the actions for a host's instances.
type plan struct {
	// unready are no longer ready.
	unready []*v1alpha1.Instance
	// evict are deleted gracefully; their host's agent stops them.
	evict []*v1alpha1.Instance
	// remove are deleted at once: no agent will stop them.
	remove []*v1alpha1.Instance
	// confirm is set if a read from the server must confirm first that the host is gone.
	confirm bool
	// again is the time after which to reconcile without an event; zero for never.
	again time.Duration
}

// decide returns the actions for the instances of a host, which is nil if it does not exist. It
// updates the memory.
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
		case helper.IsInstanceTerminal(i): // it does not run any more
		default:
			p.tolerate(host, i, m, tolerated, o, now)
		}
	}
	m.tolerated = tolerated
	return p
}

// tolerate evicts an instance if the time for which it tolerates the host's taints is over, and
// otherwise schedules the next reconciliation for then.
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

// decideMissing waits for the quarantine before a host counts as gone: the cache may show instances
// before their host, and a host that is deleted and registers again keeps its instances.
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
	return plan{confirm: true, remove: instances}
}

// withHostNotReady returns the instance with a condition Ready that is False.
func withHostNotReady(i *v1alpha1.Instance, now time.Time) *v1alpha1.Instance {
	changed := i.DeepCopy()
	meta.SetStatusCondition(&changed.Status.Conditions, metav1.Condition{
		Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionFalse,
		Reason: "HostNotReady", Message: "host " + i.Spec.HostName + " is not ready",
		ObservedGeneration: i.Generation, LastTransitionTime: metav1.NewTime(now),
	})
	return changed
}
