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

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// host is a host and the usage of its instances.
type host struct {
	name string
	// known is false for a host that only bound instances name: its object has not been seen
	// yet, or is gone.
	known                bool
	ready, unschedulable bool
	labels               map[string]string
	taints               []v1alpha1.Taint
	allocatable          amounts

	used  amounts
	ports map[port]int
	// at is the host's index in cache.order.
	at int
}

// placement is an instance on a host, bound or assumed.
type placement struct {
	uid     types.UID
	demand  demand
	host    *host
	assumed bool
}

// cache holds the hosts and their usage. The cost of a change does not depend on the number of
// instances. It is not safe for concurrent use.
type cache struct {
	hosts map[string]*host
	// order has the known hosts, in arbitrary order.
	order  []*host
	placed map[types.NamespacedName]*placement
	// siblings counts the instances of a controller, by host.
	siblings map[types.UID]map[*host]int
	// offset is where the next search of order begins, so that ties do not always select the same
	// host.
	offset int
}

func newCache() *cache {
	return &cache{
		hosts:    map[string]*host{},
		placed:   map[types.NamespacedName]*placement{},
		siblings: map[types.UID]map[*host]int{},
	}
}

// host returns the host of the name, and adds it if it is new.
func (c *cache) host(name string) *host {
	h := c.hosts[name]
	if h == nil {
		h = &host{name: name, ports: map[port]int{}}
		c.hosts[name] = h
	}
	return h
}

// setHost updates a host from its object, and returns it; nil if nothing has changed.
func (c *cache) setHost(object *v1alpha1.Host) *host {
	h := c.host(object.Name)
	now := host{
		ready:         meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.HostConditionReady) && object.DeletionTimestamp == nil,
		unschedulable: object.Spec.Unschedulable,
		labels:        object.Labels,
		taints:        object.Spec.Taints,
		allocatable:   allocatableOf(object),
	}
	if !h.known {
		h.known, h.at = true, len(c.order)
		c.order = append(c.order, h)
	} else if h.ready == now.ready && h.unschedulable == now.unschedulable && equality.Semantic.DeepEqual(h.labels, now.labels) &&
		slices.Equal(h.taints, now.taints) && h.allocatable.equals(&now.allocatable) {
		return nil
	}
	h.ready, h.unschedulable, h.labels, h.taints, h.allocatable = now.ready, now.unschedulable, now.labels, now.taints, now.allocatable
	return h
}

func allocatableOf(object *v1alpha1.Host) amounts {
	if len(object.Status.Allocatable) == 0 {
		return amountsOf(object.Status.Capacity, false)
	}
	return amountsOf(object.Status.Allocatable, false)
}

// removeHost removes a host, but not the instances that are still bound to its name.
func (c *cache) removeHost(name string) {
	h := c.hosts[name]
	if h == nil || !h.known {
		return
	}
	last := len(c.order) - 1
	c.order[h.at] = c.order[last]
	c.order[h.at].at = h.at
	c.order[last] = nil
	c.order = c.order[:last]
	h.known, h.ready, h.labels, h.taints, h.allocatable = false, false, nil, nil, amounts{}
	c.tidy(h)
}

// tidy drops a host that is neither known nor has an instance.
func (c *cache) tidy(h *host) {
	if !h.known && h.used.instances == 0 {
		delete(c.hosts, h.name)
	}
}

// bind records that the instance is on its host, whatever was assumed. It returns the host on which
// the instance was assumed before, if that has more free resources now.
func (c *cache) bind(key types.NamespacedName, object *v1alpha1.Instance) *host {
	was := c.placed[key]
	if helper.IsInstanceTerminal(object) {
		return c.remove(key)
	}
	if was != nil && was.uid == object.UID && was.host.name == object.Spec.HostName {
		// The requests of an instance are immutable.
		was.assumed = false
		return nil
	}
	freed := c.remove(key)
	c.put(key, object.UID, demandOf(object), c.host(object.Spec.HostName), false)
	return freed
}

// assume counts an instance as bound before the binding is written.
func (c *cache) assume(key types.NamespacedName, uid types.UID, d demand, h *host) {
	c.put(key, uid, d, h, true)
}

func (c *cache) put(key types.NamespacedName, uid types.UID, d demand, h *host, assumed bool) {
	h.used.add(&d.amounts, 1)
	for _, p := range d.ports {
		h.ports[p]++
	}
	if d.group != "" {
		counts := c.siblings[d.group]
		if counts == nil {
			counts = map[*host]int{}
			c.siblings[d.group] = counts
		}
		counts[h]++
	}
	c.placed[key] = &placement{uid: uid, demand: d, host: h, assumed: assumed}
}

// remove removes an instance from its host, and returns the host; nil if it was on none.
func (c *cache) remove(key types.NamespacedName) *host {
	p := c.placed[key]
	if p == nil {
		return nil
	}
	delete(c.placed, key)
	h := p.host
	h.used.add(&p.demand.amounts, -1)
	for _, taken := range p.demand.ports {
		if h.ports[taken]--; h.ports[taken] == 0 {
			delete(h.ports, taken)
		}
	}
	if counts := c.siblings[p.demand.group]; counts != nil {
		if counts[h]--; counts[h] == 0 {
			delete(counts, h)
		}
		if len(counts) == 0 {
			delete(c.siblings, p.demand.group)
		}
	}
	c.tidy(h)
	return h
}

// place returns the best host for the requirements; nil if there is none.
func (c *cache) place(w *requirements) *host {
	if len(c.order) == 0 {
		return nil
	}
	c.offset = (c.offset + 1) % len(c.order)
	siblings := c.siblings[w.group]
	var best *host
	var bestScore score
	for i := range c.order {
		at := c.offset + i
		if at >= len(c.order) {
			at -= len(c.order)
		}
		h := c.order[at]
		if h.refuses(w).cause != fits {
			continue
		}
		s := scoreOf(h, w, siblings[h])
		if best == nil || s.better(bestScore) {
			best, bestScore = h, s
		}
	}
	return best
}
