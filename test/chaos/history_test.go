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

package chaos

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// change is one write of an instance or a release, as received by the watch.
type change struct {
	version uint64
	what    watch.EventType
	object  metav1.Object
}

// history holds every write of all instances and releases. All versions are of one store, so
// that the writes of both kinds have a total order.
type history struct {
	mu      sync.Mutex
	changes []change
}

// record watches one kind from the beginning, when there are no objects of it.
func (h *history) record(ctx context.Context, t *testing.T, list func(context.Context, metav1.ListOptions) (runtime.Object, error), open func(context.Context, metav1.ListOptions) (watch.Interface, error)) {
	t.Helper()
	nothing, err := list(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	from, err := meta.ListAccessor(nothing)
	if err != nil || meta.LenList(nothing) != 0 {
		t.Fatalf("objects exist already, or the list failed: %v", err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, from.GetResourceVersion(), &cache.ListWatch{WatchFuncWithContext: open})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for event := range watcher.ResultChan() {
			object, err := meta.Accessor(event.Object)
			if err != nil || event.Type == watch.Error {
				t.Errorf("the history has a gap: %v, %+v", err, event.Object)
				return
			}
			version, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
			if err != nil {
				t.Error(err)
				return
			}
			h.mu.Lock()
			h.changes = append(h.changes, change{version, event.Type, object})
			h.mu.Unlock()
		}
	}()
}

// knows reports whether the write of that version is in the history already.
func (h *history) knows(version string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.changes, func(c change) bool { return c.object.GetResourceVersion() == version })
}

// describe returns all writes of one object, for failure messages.
func (h *history) describe(uid types.UID) string {
	var text strings.Builder
	for _, c := range h.changes {
		if c.object.GetUID() != uid {
			continue
		}
		fmt.Fprintf(&text, "  %d %s %s", c.version, c.what, c.object.GetName())
		switch o := c.object.(type) {
		case *v1alpha1.Instance:
			fmt.Fprintf(&text, " on %q, %s, deleted %v", o.Spec.HostName, o.Status.Phase, o.DeletionTimestamp)
		case *v1alpha1.Release:
			fmt.Fprintf(&text, " wants %d, has %d", ptr.Deref(o.Spec.Replicas, 1), o.Status.Replicas)
		}
		fields := c.object.GetManagedFields()
		slices.SortFunc(fields, func(a, b metav1.ManagedFieldsEntry) int { return a.Time.Compare(b.Time.Time) })
		if len(fields) > 0 {
			last := fields[len(fields)-1]
			fmt.Fprintf(&text, ", by %s at %s", last.Manager, last.Time.Format("15:04:05"))
		}
		text.WriteString("\n")
	}
	return text.String()
}

// replay is the state after some writes of the history.
type replay struct {
	// instances are the existing ones, and bound has the host that each was ever bound to.
	instances map[types.UID]*v1alpha1.Instance
	bound     map[types.UID]string
	// most is the maximum that each release ever wanted, and lost the number by which it may exceed that,
	// because its controller did not receive the responses to their creation.
	most, lost map[types.UID]int
	names      map[types.UID]string
	fullest    int
	bindings   int
	excess     int
}

// check replays the history and reports violated invariants.
func (h *history) check(t *testing.T, lost map[types.UID]bool) *replay {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.SortFunc(h.changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	r := &replay{instances: map[types.UID]*v1alpha1.Instance{}, bound: map[types.UID]string{}, most: map[types.UID]int{}, lost: map[types.UID]int{}, names: map[types.UID]string{}}
	for _, c := range h.changes {
		switch o := c.object.(type) {
		case *v1alpha1.Release:
			r.most[o.UID] = max(r.most[o.UID], int(ptr.Deref(o.Spec.Replicas, 1)))
			r.names[o.UID] = o.Name
		case *v1alpha1.Instance:
			if problem, of := r.instance(c.what, o, lost); problem != "" {
				t.Errorf("at %d: %s\n%s", c.version, problem, h.describe(of))
			}
		}
	}
	return r
}

// instance applies one write of an instance.
func (r *replay) instance(what watch.EventType, i *v1alpha1.Instance, lost map[types.UID]bool) (problem string, of types.UID) {
	_, existed := r.instances[i.UID]
	if what == watch.Deleted {
		delete(r.instances, i.UID)
		return "", ""
	}
	r.instances[i.UID] = i
	host, was := i.Spec.HostName, r.bound[i.UID]
	if was != "" && was != host {
		return fmt.Sprintf("%s is bound to %q, and was to %q", i.Name, host, was), i.UID
	}
	if owner := metav1.GetControllerOf(i); owner != nil && !existed {
		if lost[i.UID] {
			r.lost[owner.UID]++
		}
		active := r.active(owner.UID)
		r.excess = max(r.excess, active-r.most[owner.UID])
		if active > r.most[owner.UID]+r.lost[owner.UID] {
			return fmt.Sprintf("%s is the %dth of release %s, which never wanted more than %d (%d were made without an answer)",
				i.Name, active, owner.Name, r.most[owner.UID], r.lost[owner.UID]), owner.UID
		}
	}
	if host == was {
		return "", ""
	}
	r.bound[i.UID] = host
	r.bindings++
	used := r.usedOf(host)
	r.fullest = max(r.fullest, int(used.instances))
	if over := used.over(); over != "" {
		return fmt.Sprintf("%s makes host %s have too many: %s", i.Name, host, over), i.UID
	}
	return "", ""
}

func (r *replay) active(release types.UID) int {
	count := 0
	for _, i := range r.instances {
		if owner := metav1.GetControllerOf(i); owner != nil && owner.UID == release && helper.IsInstanceActive(i) {
			count++
		}
	}
	return count
}

func (r *replay) usedOf(host string) used {
	var u used
	for _, i := range r.instances {
		if i.Spec.HostName == host && !helper.IsInstanceTerminal(i) {
			u.add(i)
		}
	}
	return u
}

// used is the use of a host's capacity by instances.
type used struct {
	instances   int64
	cpu, memory resource.Quantity
}

func (u *used) add(i *v1alpha1.Instance) {
	u.instances++
	for _, c := range i.Spec.Containers {
		u.cpu.Add(c.Resources.Requests[v1alpha1.ResourceCPU])
		u.memory.Add(c.Resources.Requests[v1alpha1.ResourceMemory])
	}
}

// over describes what exceeds the capacity, which is the same for all hosts.
func (u *used) over() string {
	host := hosts(0, 0)
	if u.instances <= int64(host.Instances) && u.cpu.Cmp(host.CPU) <= 0 && u.memory.Cmp(host.Memory) <= 0 {
		return ""
	}
	return fmt.Sprintf("%d instances of %d, cpu %s of %s, memory %s of %s", u.instances, host.Instances, u.cpu.String(), host.CPU.String(), u.memory.String(), host.Memory.String())
}
