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
)

// health is the state of a host between two passes of the monitor. All times are by the
// controller's own clock: the clocks of hosts are not trusted.
type health struct {
	uid types.UID
	// ready and renewed are what the host last wrote; the latter by the watch, and by a read from
	// the server. A stale watch event of a known renewal is not a new one.
	ready   metav1.Condition
	renewed [2]time.Time
	// alive is when one of them was last seen to change.
	alive time.Time
	// grace is the time without a change after which the host is silent.
	grace time.Duration
	// notReadySince is when it was first seen not ready; zero for a ready host.
	notReadySince time.Time
	// evict is set if evictions were granted: the host gets the taint NoExecute.
	evict bool
}

// disruption classifies the share of hosts that are not ready.
type disruption int

const (
	normal disruption = iota
	// partial: more hosts are not ready than fail independently.
	partial
	// full: none is ready, so the network or this controller is at fault.
	full
)

func (d disruption) String() string {
	return [...]string{"normal", "partial", "full"}[d]
}

// monitor decides which hosts are silent, and on which evictions may begin. It is pure: the caller
// passes the time.
type monitor struct {
	options    Options
	hosts      map[string]*health
	disruption disruption
	size       int
	// granted is when evictions last began on a host.
	granted time.Time
}

func newMonitor(o Options) *monitor {
	return &monitor{options: o, hosts: map[string]*health{}}
}

// readyOf returns the host's condition Ready as its agent, or this controller, wrote it; one without
// a status if neither has: the condition that the server sets on a new host does not count.
func readyOf(host *v1alpha1.Host) metav1.Condition {
	if ready := meta.FindStatusCondition(host.Status.Conditions, v1alpha1.HostConditionReady); ready != nil && ready.Reason != v1alpha1.HostReasonNotReported {
		return *ready
	}
	return metav1.Condition{}
}

// source is where a lease was read from.
type source int

const (
	watched source = iota
	live
)

// observe updates the health of a host from its object and lease, and reports whether it has been
// silent for too long.
func (m *monitor) observe(host *v1alpha1.Host, lease *v1alpha1.HostLease, from source, now time.Time) bool {
	h := m.hosts[host.Name]
	ready := readyOf(host)
	if h == nil || h.uid != host.UID {
		// Also after a restart of this controller: the grace period starts with the first look.
		h = &health{uid: host.UID, ready: ready, alive: now}
		m.hosts[host.Name] = h
	}
	if ready.Status != metav1.ConditionUnknown && !sameReport(ready, h.ready) {
		h.alive = now
	}
	h.ready = ready
	h.grace = m.options.Grace
	if ready.Status == "" {
		h.grace = m.options.StartupGrace
	}
	if lease != nil {
		renewed := renewTimeOf(lease)
		if !renewed.Equal(h.renewed[watched]) && !renewed.Equal(h.renewed[live]) {
			h.alive = now
		}
		h.renewed[from] = renewed
		if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
			h.grace = min(h.grace, time.Duration(*seconds)*time.Second)
		}
	}
	return now.Sub(h.alive) > h.grace
}

func renewTimeOf(lease *v1alpha1.HostLease) time.Time {
	if lease.Spec.RenewTime == nil {
		return time.Time{}
	}
	return lease.Spec.RenewTime.Time
}

func sameReport(a, b metav1.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.LastTransitionTime.Equal(&b.LastTransitionTime)
}

// silent returns the hosts that have been silent for too long without the condition Unknown.
func (m *monitor) silent(hosts []*v1alpha1.Host, lease func(name string) *v1alpha1.HostLease, now time.Time) []*v1alpha1.Host {
	var silent []*v1alpha1.Host
	for _, host := range hosts {
		if m.observe(host, lease(host.Name), watched, now) && readyOf(host).Status != metav1.ConditionUnknown {
			silent = append(silent, host)
		}
	}
	return silent
}

// conclude updates the readiness of all hosts after a pass, and returns the hosts that must be
// reconciled. unknown are those that have just become Unknown.
func (m *monitor) conclude(hosts []*v1alpha1.Host, unknown map[string]bool, now time.Time) []string {
	var changed []string
	existing, notReady := map[string]bool{}, 0
	for _, host := range hosts {
		h := m.hosts[host.Name]
		if h == nil {
			continue
		}
		existing[host.Name] = true
		if h.ready.Status == metav1.ConditionTrue && !unknown[host.Name] {
			if h.evict || !h.notReadySince.IsZero() {
				changed = append(changed, host.Name)
			}
			h.notReadySince, h.evict = time.Time{}, false
			continue
		}
		notReady++
		if h.notReadySince.IsZero() {
			h.notReadySince = now
			changed = append(changed, host.Name)
		}
		// Evictions were granted before this controller was started.
		h.evict = h.evict || (m.disruption != full && slices.ContainsFunc(host.Spec.Taints, isOwnedEviction))
	}
	for name := range m.hosts {
		if !existing[name] {
			delete(m.hosts, name)
		}
	}
	was := m.disruption
	m.size = len(existing)
	m.disruption = m.judge(m.size, notReady)
	if was == m.disruption || (was != full && m.disruption != full) {
		return changed
	}
	// All evictions are revoked when all hosts become silent. When the first one recovers, the
	// grace period of the others starts again.
	for name, h := range m.hosts {
		h.evict = false
		if was == full {
			h.alive = now
		}
		changed = append(changed, name)
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

func (m *monitor) judge(hosts, notReady int) disruption {
	switch {
	case hosts > 0 && notReady == hosts:
		return full
	// Up to two may fail independently.
	case notReady > 2 && float64(notReady)/float64(hosts) >= m.options.UnhealthyThreshold:
		return partial
	}
	return normal
}

// rate returns the hosts per second on which evictions may begin now.
func (m *monitor) rate() float64 {
	switch {
	case m.disruption == full:
		return 0
	case m.disruption == partial && m.size <= m.options.LargeFleet:
		return 0
	case m.disruption == partial:
		return m.options.SecondaryEvictionRate
	}
	return m.options.EvictionRate
}

// grant begins evictions on the next host if the rate allows, and returns the time after which to
// call it again: zero for not before the next pass.
func (m *monitor) grant(now time.Time) (name string, again time.Duration) {
	rate := m.rate()
	if rate <= 0 {
		return "", 0
	}
	var waiting []string
	for name, h := range m.hosts {
		// A host that has never reported was never given an instance.
		if !h.notReadySince.IsZero() && !h.evict && h.ready.Status != "" {
			waiting = append(waiting, name)
		}
	}
	if len(waiting) == 0 {
		return "", 0
	}
	interval := time.Duration(float64(time.Second) / rate)
	if wait := interval - now.Sub(m.granted); !m.granted.IsZero() && wait > 0 {
		return "", wait
	}
	name = slices.MinFunc(waiting, func(a, b string) int {
		return cmp.Or(m.hosts[a].notReadySince.Compare(m.hosts[b].notReadySince), cmp.Compare(a, b))
	})
	m.hosts[name].evict, m.granted = true, now
	if len(waiting) == 1 {
		return name, 0
	}
	return name, interval
}
