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
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// fleet has hosts, their leases, and a clock.
type fleet struct {
	*testing.T
	*monitor
	now    time.Time
	stored []*v1alpha1.Host
	leases map[string]*v1alpha1.HostLease
}

func newFleet(t *testing.T, size int, change ...func(*Options)) *fleet {
	o := DefaultOptions()
	for _, f := range change {
		f(&o)
	}
	f := &fleet{t, newMonitor(o), start, nil, map[string]*v1alpha1.HostLease{}}
	for i := range size {
		name := fmt.Sprintf("h%03d", i)
		f.stored = append(f.stored, hostWith(name, metav1.ConditionTrue))
		f.renew(name)
	}
	f.look()
	return f
}

func hostWith(name string, ready metav1.ConditionStatus, taints ...v1alpha1.Taint) *v1alpha1.Host {
	host := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1alpha1.HostSpec{Taints: taints}}
	if ready != "" {
		host.Status.Conditions = []metav1.Condition{{Type: v1alpha1.HostConditionReady, Status: ready}}
	}
	return host
}

// renew renews a lease. The clocks of hosts are years off, which must have no effect.
func (f *fleet) renew(names ...string) {
	for _, name := range names {
		f.leases[name] = &v1alpha1.HostLease{Spec: v1alpha1.HostLeaseSpec{RenewTime: ptr.To(metav1.NewMicroTime(f.now.AddDate(-7, 0, 0)))}}
	}
}

// pass advances the clock; all hosts except those in but renew their leases.
func (f *fleet) pass(d time.Duration, but ...string) {
	f.now = f.now.Add(d)
	for _, host := range f.stored {
		if !slices.Contains(but, host.Name) {
			f.renew(host.Name)
		}
	}
}

// look runs one pass with its writes; it returns the hosts that were found silent.
func (f *fleet) look() []string {
	silent := []string{}
	unknown := map[string]bool{}
	for _, host := range f.silent(f.stored, func(name string) *v1alpha1.HostLease { return f.leases[name] }, f.now) {
		silent = append(silent, host.Name)
		unknown[host.Name] = true
	}
	f.conclude(f.stored, unknown, f.now)
	for i, host := range f.stored {
		if unknown[host.Name] {
			f.stored[i] = withUnknown(host, f.now)
		}
	}
	return silent
}

func (f *fleet) set(at int, ready metav1.ConditionStatus) {
	f.stored[at] = hostWith(f.stored[at].Name, ready)
}

func (f *fleet) names(from, to int) []string {
	var all []string
	for _, host := range f.stored[from:to] {
		all = append(all, host.Name)
	}
	return all
}

func TestWhenAHostIsSilent(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ready metav1.ConditionStatus
		// then runs after 30 of 45 seconds.
		then func(*fleet)
		want bool
	}{
		{"nothing is heard for longer than the grace period", metav1.ConditionTrue, func(*fleet) {}, true},
		{"also of one that was not ready", metav1.ConditionFalse, func(*fleet) {}, true},
		{"its lease was renewed", metav1.ConditionTrue, func(f *fleet) { f.renew("h000") }, false},
		{"its lease was renewed with a time before the last one", metav1.ConditionTrue, func(f *fleet) {
			f.leases["h000"].Spec.RenewTime = ptr.To(metav1.NewMicroTime(start.AddDate(-20, 0, 0)))
		}, false},
		{"its lease is written again, with the same time", metav1.ConditionTrue, func(f *fleet) { f.leases["h000"] = f.leases["h000"].DeepCopy() }, true},
		{"its condition was written", metav1.ConditionFalse, func(f *fleet) { f.set(0, metav1.ConditionTrue) }, false},
		{"its lease is gone", metav1.ConditionTrue, func(f *fleet) { delete(f.leases, "h000") }, true},
		{"it was recreated", metav1.ConditionTrue, func(f *fleet) { f.stored[0].UID = "other" }, false},
		{"it is known to be unknown", metav1.ConditionUnknown, func(*fleet) {}, false},
		{"it has not reported yet, and the startup grace has not passed", "", func(*fleet) {}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t, 2)
			f.set(0, tc.ready)
			f.look()
			f.pass(30*time.Second, "h000")
			tc.then(f)
			if got := f.look(); len(got) > 0 {
				t.Errorf("%q are silent too soon", got)
			}
			f.pass(15*time.Second, "h000")
			if got := f.look(); (len(got) == 1) != tc.want {
				t.Errorf("%q are silent", got)
			}
		})
	}
}

func TestAHostThatNeverReportsIsUnknownAfterAMinute(t *testing.T) {
	f := newFleet(t, 2)
	f.set(0, "")
	f.look()
	f.pass(time.Minute, "h000")
	if got := f.look(); len(got) != 0 {
		t.Errorf("%q are silent too soon", got)
	}
	f.pass(time.Second, "h000")
	f.look()
	if ready := readyOf(f.stored[0]); ready.Status != metav1.ConditionUnknown || ready.Reason != "HostStatusNeverUpdated" {
		t.Errorf("the condition is %+v", ready)
	}
}

func TestALeaseMayAskForLessTimeAndNotForMore(t *testing.T) {
	for seconds, want := range map[int32]time.Duration{10: 10 * time.Second, 3600: 40 * time.Second} {
		f := newFleet(t, 2)
		f.leases["h000"].Spec.LeaseDurationSeconds = &seconds
		f.pass(want, "h000")
		if got := f.look(); len(got) != 0 {
			t.Errorf("with %d seconds %q are silent too soon", seconds, got)
		}
		f.pass(1, "h000")
		if got := f.look(); len(got) != 1 {
			t.Errorf("with %d seconds %q are silent", seconds, got)
		}
	}
}

func TestAWatchThatIsLateNeitherKillsAHostNorKeepsItAlive(t *testing.T) {
	f := newFleet(t, 2)
	host, stale := f.stored[0], f.leases["h000"]
	renewed := stale.DeepCopy()
	renewed.Spec.RenewTime = ptr.To(metav1.NewMicroTime(start))
	f.pass(41*time.Second, "h000")
	if !f.observe(host, stale, watched, f.now) || f.observe(host, renewed, live, f.now) {
		t.Error("a renewal that was read from the server is ignored")
	}
	// From now on the host is dead, and neither source reports a renewal.
	f.now = f.now.Add(20 * time.Second)
	if f.observe(host, stale, watched, f.now) {
		t.Error("silent too soon")
	}
	f.now = f.now.Add(21 * time.Second)
	if !f.observe(host, renewed, watched, f.now) || !f.observe(host, renewed, live, f.now) {
		t.Error("a late watch event kept it alive")
	}
}

func TestHowMuchOfTheFleetIsNotReady(t *testing.T) {
	for _, tc := range []struct {
		hosts, notReady int
		want            disruption
		rate            float64
	}{
		{0, 0, normal, 0.1},
		{1, 0, normal, 0.1},
		{1, 1, full, 0},
		{3, 2, normal, 0.1},
		{4, 3, partial, 0},
		{10, 5, normal, 0.1},
		{10, 6, partial, 0},
		{10, 10, full, 0},
		{50, 30, partial, 0},
		{51, 30, partial, 0.01},
		{100, 54, normal, 0.1},
		{100, 55, partial, 0.01},
		{100, 100, full, 0},
	} {
		m := newMonitor(DefaultOptions())
		m.disruption, m.size = m.judge(tc.hosts, tc.notReady), tc.hosts
		if m.disruption != tc.want || m.rate() != tc.rate {
			t.Errorf("%d of %d: %s at %v, not %s at %v", tc.notReady, tc.hosts, m.disruption, m.rate(), tc.want, tc.rate)
		}
	}
}

// evictions returns the hosts on which evictions begin at this moment.
func (f *fleet) evictions() []string {
	all := []string{}
	for {
		name, _ := f.grant(f.now)
		if name == "" {
			return all
		}
		all = append(all, name)
	}
}

func (f *fleet) expectTurns(want ...string) {
	f.Helper()
	if got := f.evictions(); !slices.Equal(got, want) {
		f.Fatalf("evictions begin on %q, not on %q", got, want)
	}
}

func TestEvictionsBeginOnOneHostAfterTheOther(t *testing.T) {
	f := newFleet(t, 10)
	f.expectTurns()
	f.set(1, metav1.ConditionFalse)
	f.look()
	f.pass(time.Second)
	f.set(0, metav1.ConditionFalse)
	f.set(2, metav1.ConditionFalse)
	f.look()
	f.expectTurns("h001") // not ready for the longest time
	if _, again := f.grant(f.now); again != 10*time.Second {
		t.Errorf("to be called again after %v", again)
	}
	f.pass(9 * time.Second)
	f.expectTurns()
	f.set(0, metav1.ConditionTrue)
	f.look()
	f.pass(time.Second)
	f.expectTurns("h002") // the other one is ready again
	f.pass(time.Hour)
	f.expectTurns()
	// A host that fails later does not wait for those before it.
	f.set(5, metav1.ConditionFalse)
	f.look()
	f.expectTurns("h005")
}

func TestATaintedHostUsesNoGrant(t *testing.T) {
	f := newFleet(t, 10)
	f.stored[0] = hostWith("h000", metav1.ConditionUnknown, v1alpha1.Taint{Key: v1alpha1.TaintHostUnreachable, Effect: v1alpha1.TaintEffectNoExecute})
	f.set(1, metav1.ConditionUnknown)
	f.look()
	f.expectTurns("h001")
}

func TestNothingIsEvictedWhenMostVanishAtOnce(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		f := newFleet(t, 100)
		f.set(0, metav1.ConditionFalse)
		f.look()
		f.expectTurns("h000")
		f.pass(41*time.Second, f.names(0, 100)...)
		if got := f.look(); len(got) != 100 || f.disruption != full {
			t.Fatalf("%d are silent, %s", len(got), f.disruption)
		}
		f.pass(time.Hour, f.names(0, 100)...)
		f.look()
		f.expectTurns()
		if f.hosts["h000"].evict {
			t.Error("evictions were not revoked")
		}
		// The first one recovers; the grace period of the others starts again.
		f.set(7, metav1.ConditionTrue)
		f.renew("h007")
		f.look()
		if f.disruption != partial || !f.hosts["h000"].alive.Equal(f.now) {
			t.Errorf("%s, and h000 was alive at %v", f.disruption, f.hosts["h000"].alive)
		}
	})
	t.Run("most of a small fleet", func(t *testing.T) {
		f := newFleet(t, 10)
		f.pass(41*time.Second, f.names(0, 6)...)
		f.look()
		f.pass(time.Hour, f.names(0, 6)...)
		f.look()
		f.expectTurns()
	})
	t.Run("most of a large fleet, and evictions continue slowly", func(t *testing.T) {
		f := newFleet(t, 100)
		f.pass(41*time.Second, f.names(0, 60)...)
		f.look()
		f.expectTurns("h000")
		f.pass(99*time.Second, f.names(0, 60)...)
		f.expectTurns()
		f.pass(time.Second, f.names(0, 60)...)
		f.expectTurns("h001")
	})
}

func TestHostsThatAreGoneAreForgotten(t *testing.T) {
	f := newFleet(t, 3)
	f.stored = f.stored[:1]
	f.look()
	if len(f.hosts) != 1 {
		t.Errorf("%d are remembered", len(f.hosts))
	}
}

func TestOptionsSayWhatIsWrongWithThem(t *testing.T) {
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"Grace": func(o *Options) { o.Grace = 0 }, "EvictionRate": func(o *Options) { o.EvictionRate = -1 }, "UnhealthyThreshold": func(o *Options) { o.UnhealthyThreshold = 55 },
	} {
		o := DefaultOptions()
		change(&o)
		if o.Validate() == nil {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
}
