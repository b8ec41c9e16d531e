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
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// world simulates a server, with delayed watches that each keep their own order, and responses
// that are sometimes lost.
type world struct {
	t         *testing.T
	random    *rand.Rand
	now       time.Time
	state     *state
	hosts     map[string]*v1alpha1.Host
	instances map[types.NamespacedName]*v1alpha1.Instance
	created   int
	// hostEvents and instanceEvents are events that the watches have not delivered yet.
	hostEvents, instanceEvents []func()
	sent                       []*decision
	bindings                   int
}

func (w *world) key(n int) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: fmt.Sprint("i", n)}
}

// store stores an instance, and queues its watch event.
func (w *world) store(i *v1alpha1.Instance) {
	w.instances[keyOf(i)] = i
	w.instanceEvents = append(w.instanceEvents, func() { w.state.setInstance(i, w.now) })
}

func (w *world) gone(key types.NamespacedName) {
	delete(w.instances, key)
	w.instanceEvents = append(w.instanceEvents, func() { w.state.removeInstance(key, w.now) })
}

// bind handles a binding as the server does.
func (w *world) bind(d *decision) verdict {
	stored := w.instances[keyOf(d.instance)]
	switch {
	case stored == nil, w.hosts[d.host] == nil:
		return refused
	case stored.UID != d.instance.UID, stored.Spec.HostName != "", stored.DeletionTimestamp != nil:
		return bound
	}
	changed := stored.DeepCopy()
	changed.Spec.HostName = d.host
	w.store(changed)
	w.bindings++
	w.check(d.host)
	return bound
}

// check fails the test if the instances of a host exceed its resources.
func (w *world) check(name string) {
	w.t.Helper()
	var used amounts
	ports := map[port]bool{}
	for _, i := range w.instances {
		if i.Spec.HostName != name || helper.IsInstanceTerminal(i) {
			continue
		}
		d := demandOf(i)
		used.add(&d.amounts, 1)
		for _, p := range d.ports {
			if ports[p] {
				w.t.Fatalf("host %s: port %v is taken twice", name, p)
			}
			ports[p] = true
		}
	}
	allocatable := allocatableOf(w.hosts[name])
	if used.milliCPU > allocatable.milliCPU || used.memory > allocatable.memory || used.instances > allocatable.instances || used.extendedAmount("example.com/gpu") > allocatable.extendedAmount("example.com/gpu") {
		w.t.Fatalf("host %s has %+v and was given %+v", name, allocatable, used)
	}
}

func (w *world) anyInstance() *v1alpha1.Instance {
	if w.created == 0 {
		return nil
	}
	return w.instances[w.key(w.random.IntN(w.created))]
}

func (w *world) newInstance() {
	r := w.random
	i := newInstance(w.key(w.created).Name, asking("cpu", fmt.Sprintf("%dm", r.IntN(1500)), "memory", fmt.Sprintf("%dMi", r.IntN(3000))), ownedBy(fmt.Sprint("r", r.IntN(4))))
	i.UID = types.UID(fmt.Sprint("uid-", w.created))
	if r.IntN(8) == 0 {
		i.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resources("g", "1")["g"]
	}
	if r.IntN(8) == 0 {
		withPort(int32(80 + r.IntN(2)))(i)
	}
	if r.IntN(8) == 0 {
		selecting("disk", "ssd")(i)
	}
	if r.IntN(4) == 0 {
		tolerating("gpu")(i)
	}
	w.created++
	w.store(i)
}

// setHost stores a host, new or changed. Its resources only grow, because a reduction after a binding
// would be a violation that is not the scheduler's fault.
func (w *world) setHost() {
	r := w.random
	name := fmt.Sprint("h", r.IntN(6))
	cpu := 2000
	if old := w.hosts[name]; old != nil {
		cpu = int(allocatableOf(old).milliCPU) + r.IntN(500)
	}
	host := readyHost(name, withAllocatable("cpu", fmt.Sprintf("%dm", cpu), "memory", "6Gi", "instances", "8", "example.com/gpu", "1"))
	if r.IntN(3) == 0 {
		withTaint("gpu", v1alpha1.TaintEffectNoExecute)(host)
	}
	if r.IntN(3) == 0 {
		withLabel("disk", "ssd")(host)
	}
	host.Spec.Unschedulable = r.IntN(5) == 0
	if r.IntN(5) == 0 {
		withReady("Unknown")(host)
	}
	w.hosts[name] = host
	w.hostEvents = append(w.hostEvents, func() { w.state.setHost(host, w.now) })
}

// step makes one random change.
func (w *world) step() {
	r := w.random
	switch what := r.IntN(100); {
	case what < 22:
		w.newInstance()
	case what < 28:
		w.setHost()
	case what < 34:
		if i := w.anyInstance(); i != nil {
			w.gone(keyOf(i))
		}
	case what < 38:
		if i := w.anyInstance(); i != nil && i.Spec.HostName != "" {
			changed := i.DeepCopy()
			[]func(*v1alpha1.Instance){beingDeleted, ended(v1alpha1.InstanceSucceeded), tolerating("gpu")}[r.IntN(3)](changed)
			w.store(changed)
		}
	case what < 40:
		if i := w.anyInstance(); i != nil && !helper.IsInstanceTerminal(i) {
			changed := i.DeepCopy()
			tolerating("gpu")(changed)
			w.store(changed)
		}
	case what < 42:
		// Another instance of the same name follows at once.
		if i := w.anyInstance(); i != nil {
			w.gone(keyOf(i))
			again := newInstance(i.Name)
			again.UID = i.UID + "'"
			w.store(again)
		}
	case what < 55:
		w.tell(&w.instanceEvents)
	case what < 60:
		w.tell(&w.hostEvents)
	case what < 80:
		if d, _ := w.state.next(w.now); d != nil {
			w.sent = append(w.sent, d)
		}
	case what < 95:
		w.answer(true)
	default:
		w.now = w.now.Add(time.Duration(r.IntN(30)) * time.Second)
	}
}

func (w *world) tell(events *[]func()) {
	if len(*events) > 0 {
		(*events)[0]()
		*events = (*events)[1:]
	}
}

// answer carries out a random one of the pending decisions.
func (w *world) answer(trouble bool) {
	if len(w.sent) == 0 {
		return
	}
	at := w.random.IntN(len(w.sent))
	d := w.sent[at]
	w.sent = append(w.sent[:at], w.sent[at+1:]...)
	lost := trouble && w.random.IntN(5) == 0
	switch {
	case d.confirm && lost:
		w.state.confirmFailed(d.instance, w.now)
	case d.confirm:
		live := w.instances[keyOf(d.instance)]
		w.state.confirmed(d.instance, live, w.now)
	case d.host == "":
	case lost && w.random.IntN(2) == 0:
		w.bind(d)
		w.state.finished(d.instance, unknownOutcome, w.now)
	case lost:
		w.state.finished(d.instance, []verdict{refused, unknownOutcome}[w.random.IntN(2)], w.now)
	default:
		w.state.finished(d.instance, w.bind(d), w.now)
	}
}

// settle delivers all events until nothing changes any more.
func (w *world) settle() {
	for range 50 {
		for len(w.hostEvents)+len(w.instanceEvents)+len(w.sent) > 0 {
			w.tell(&w.hostEvents)
			w.tell(&w.instanceEvents)
			w.answer(false)
		}
		for d, _ := w.state.next(w.now); d != nil; d, _ = w.state.next(w.now) {
			w.sent = append(w.sent, d)
		}
		w.now = w.now.Add(lastBackoff)
	}
}

// compare fails the test unless the sums equal those of the stored objects, and no unbound instance
// fits anywhere.
func (w *world) compare() {
	w.t.Helper()
	sums, waiting := map[string]*amounts{}, 0
	for key, i := range w.instances {
		switch {
		case i.Spec.HostName != "" && !helper.IsInstanceTerminal(i):
			d := demandOf(i)
			if sums[i.Spec.HostName] == nil {
				sums[i.Spec.HostName] = &amounts{}
			}
			sums[i.Spec.HostName].add(&d.amounts, 1)
		case i.Spec.HostName == "" && helper.IsInstanceActive(i):
			waiting++
			wanted := requirementsOf(i)
			if h := w.state.cache.place(&wanted); h != nil {
				w.t.Errorf("%s waits, and fits on %s", key, h.name)
			}
			if one := w.state.queue.all[key]; one == nil || one.position != parked {
				w.t.Errorf("%s does not wait: %+v", key, one)
			}
		}
	}
	if len(w.state.queue.all) != waiting {
		w.t.Errorf("%d wait, not %d", len(w.state.queue.all), waiting)
	}
	for name, h := range w.state.cache.hosts {
		want := sums[name]
		if want == nil {
			want = &amounts{}
		}
		if h.used.milliCPU != want.milliCPU || h.used.memory != want.memory || h.used.instances != want.instances || h.used.extendedAmount("example.com/gpu") != want.extendedAmount("example.com/gpu") {
			w.t.Errorf("host %s: the sums are %+v, not %+v", name, h.used, *want)
		}
		if len(h.ports) > 0 && h.used.instances == 0 {
			w.t.Errorf("host %s: %d ports are in use without an instance", name, len(h.ports))
		}
	}
}

func TestNoHostIsEverGivenMoreThanItHasWhateverHappens(t *testing.T) {
	bindings := 0
	first := kit.SeedOr(t, 0)
	for seed := first; seed < first+200; seed++ {
		w := &world{
			t: t, random: rand.New(rand.NewPCG(seed, 1)), now: start, state: newState(),
			hosts: map[string]*v1alpha1.Host{}, instances: map[types.NamespacedName]*v1alpha1.Instance{},
		}
		for range 600 {
			w.step()
		}
		w.settle()
		w.compare()
		bindings += w.bindings
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	if bindings < 200 {
		t.Errorf("only %d bindings: nothing was tried", bindings)
	}
}
