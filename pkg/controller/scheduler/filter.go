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
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// why is what keeps an instance off a host.
type why int

const (
	fits why = iota
	wrongLabels
	notReady
	unschedulable
	tainted
	portTaken
	noSlot
	littleCPU
	littleMemory
	littleOther
)

// reason is why, and of what where that needs a name. Reasons are counted, and are keys.
type reason struct {
	why  why
	name string
	port port
}

// String says it as it follows a number of hosts.
func (r reason) String() string {
	switch r.why {
	case wrongLabels:
		return "without the labels of hostSelector"
	case notReady:
		return "not ready"
	case unschedulable:
		return "unschedulable"
	case tainted:
		return "tainted " + r.name
	case portTaken:
		return fmt.Sprintf("without host port %d/%s", r.port.number, r.port.protocol)
	case noSlot:
		return "without a free instance slot"
	case littleCPU:
		return "too little cpu"
	case littleMemory:
		return "too little memory"
	case littleOther:
		return "too little " + r.name
	}
	return "fit"
}

// refuses says why a host does not take an instance. The first reason counts, in this order:
// what the instance chose itself, what the host is, what is left of it.
func (h *host) refuses(w *wish) reason {
	for i := range w.selector {
		if value, found := h.labels[w.selector[i].key]; !found || value != w.selector[i].value {
			return reason{why: wrongLabels}
		}
	}
	if !h.known || !h.ready {
		return reason{why: notReady}
	}
	if h.unschedulable {
		return reason{why: unschedulable}
	}
	if len(h.taints) > 0 {
		if taint := helper.FindUntoleratedTaint(h.taints, w.tolerations); taint != nil {
			return reason{why: tainted, name: taint.Key}
		}
	}
	for _, p := range w.ports {
		if h.ports[p] > 0 {
			return reason{why: portTaken, port: p}
		}
	}
	return h.lacks(w)
}

// lacks says of what a host has too little left. Who asks for nothing of a resource gets on,
// even where there is less than nothing.
func (h *host) lacks(w *wish) reason {
	switch {
	case w.instances > h.allocatable.instances-h.used.instances:
		return reason{why: noSlot}
	case w.milliCPU > 0 && w.milliCPU > h.allocatable.milliCPU-h.used.milliCPU:
		return reason{why: littleCPU}
	case w.memory > 0 && w.memory > h.allocatable.memory-h.used.memory:
		return reason{why: littleMemory}
	}
	for i := range w.extended {
		asked := &w.extended[i]
		if asked.amount > 0 && asked.amount > h.allocatable.of(asked.name)-h.used.of(asked.name) {
			return reason{why: littleOther, name: string(asked.name)}
		}
	}
	return reason{}
}

// manyReasons is how many are told one by one.
const manyReasons = 8

// explain says for people why no host takes the instance: "0/3 hosts fit: 2 too little
// memory, 1 tainted example.com/gpu". Every host is counted once.
func (c *cache) explain(w *wish) string {
	if len(c.order) == 0 {
		return "0/0 hosts fit: there are no hosts"
	}
	counts := map[reason]int{}
	for _, h := range c.order {
		counts[h.refuses(w)]++
	}
	head := fmt.Sprintf("%d/%d hosts fit: ", counts[reason{}], len(c.order))
	delete(counts, reason{})
	if counts[reason{why: wrongLabels}] == len(c.order) {
		return head + "none has the labels of hostSelector " + labelsOf(w)
	}
	type counted struct {
		reason
		hosts int
	}
	var all []counted
	for r, hosts := range counts {
		all = append(all, counted{r, hosts})
	}
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.hosts, a.hosts), cmp.Compare(b.why, a.why), cmp.Compare(a.name, b.name), comparePorts(a.port, b.port))
	})
	var told []string
	for i, one := range all {
		if i == manyReasons {
			rest := 0
			for _, other := range all[i:] {
				rest += other.hosts
			}
			told = append(told, fmt.Sprintf("%d for other reasons", rest))
			break
		}
		told = append(told, fmt.Sprintf("%d %s", one.hosts, one.reason))
	}
	return head + strings.Join(told, ", ")
}

func labelsOf(w *wish) string {
	var all []string
	for _, l := range w.selector {
		all = append(all, l.key+"="+l.value)
	}
	return strings.Join(all, ",")
}

// class is what all instances have in common that fit on the same hosts.
type class string

// classOf compares wishes by all that refuses looks at.
func classOf(w *wish) class {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d", w.milliCPU, w.memory)
	for _, e := range w.extended {
		fmt.Fprintf(&b, " %s=%d", e.name, e.amount)
	}
	for _, p := range slices.SortedFunc(slices.Values(w.ports), comparePorts) {
		fmt.Fprintf(&b, " %d/%s", p.number, p.protocol)
	}
	for _, l := range w.selector {
		fmt.Fprintf(&b, " %q:%q", l.key, l.value)
	}
	for _, t := range w.tolerations {
		fmt.Fprintf(&b, " %q%s%q%s", t.Key, cmp.Or(t.Operator, v1alpha1.TolerationOpEqual), t.Value, t.Effect)
	}
	return class(b.String())
}

func comparePorts(a, b port) int {
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.protocol, b.protocol))
}
