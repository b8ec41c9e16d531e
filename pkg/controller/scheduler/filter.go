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

// cause is why an instance does not fit on a host.
type cause int

const (
	fits cause = iota
	wrongLabels
	notReady
	unschedulable
	tainted
	portTaken
	insufficientSlots
	insufficientCPU
	insufficientMemory
	insufficientOther
)

// reason is a cause and the name that it needs. Reasons are counted, and are map keys.
type reason struct {
	cause cause
	name  string
	port  port
}

// String returns the reason as it follows a number of hosts.
func (r reason) String() string {
	switch r.cause {
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
	case insufficientSlots:
		return "without a free instance slot"
	case insufficientCPU:
		return "insufficient cpu"
	case insufficientMemory:
		return "insufficient memory"
	case insufficientOther:
		return "insufficient " + r.name
	}
	return "fit"
}

// refuses returns why an instance does not fit on a host. The first reason counts, in this order:
// the instance's selector, the state of the host, its free resources.
func (h *host) refuses(w *requirements) reason {
	for i := range w.selector {
		if value, found := h.labels[w.selector[i].key]; !found || value != w.selector[i].value {
			return reason{cause: wrongLabels}
		}
	}
	if !h.known || !h.ready {
		return reason{cause: notReady}
	}
	if h.unschedulable {
		return reason{cause: unschedulable}
	}
	if len(h.taints) > 0 {
		if taint := helper.FindUntoleratedTaint(h.taints, w.tolerations); taint != nil {
			return reason{cause: tainted, name: taint.Key}
		}
	}
	for _, p := range w.ports {
		if h.ports[p] > 0 {
			return reason{cause: portTaken, port: p}
		}
	}
	return h.insufficient(w)
}

// insufficient returns the resource that a host lacks. An instance that requests
// nothing of a resource fits, even if the free amount is negative.
func (h *host) insufficient(w *requirements) reason {
	switch {
	case w.instances > h.allocatable.instances-h.used.instances:
		return reason{cause: insufficientSlots}
	case w.milliCPU > 0 && w.milliCPU > h.allocatable.milliCPU-h.used.milliCPU:
		return reason{cause: insufficientCPU}
	case w.memory > 0 && w.memory > h.allocatable.memory-h.used.memory:
		return reason{cause: insufficientMemory}
	}
	for i := range w.extended {
		asked := &w.extended[i]
		if asked.amount > 0 && asked.amount > h.allocatable.extendedAmount(asked.name)-h.used.extendedAmount(asked.name) {
			return reason{cause: insufficientOther, name: string(asked.name)}
		}
	}
	return reason{}
}

// manyReasons is the number of reasons that are listed one by one.
const manyReasons = 8

// explain returns a message about why no host fits: "0/3 hosts are available: 2 insufficient memory,
// 1 tainted example.com/gpu". Every host is counted once.
func (c *cache) explain(w *requirements) string {
	if len(c.order) == 0 {
		return "0/0 hosts are available: there are no hosts"
	}
	counts := map[reason]int{}
	for _, h := range c.order {
		counts[h.refuses(w)]++
	}
	head := fmt.Sprintf("%d/%d hosts are available: ", counts[reason{}], len(c.order))
	delete(counts, reason{})
	if counts[reason{cause: wrongLabels}] == len(c.order) {
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
		return cmp.Or(cmp.Compare(b.hosts, a.hosts), cmp.Compare(b.cause, a.cause), cmp.Compare(a.name, b.name), comparePorts(a.port, b.port))
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

func labelsOf(w *requirements) string {
	var all []string
	for _, l := range w.selector {
		all = append(all, l.key+"="+l.value)
	}
	return strings.Join(all, ",")
}

// classKey identifies the requirements of instances that fit on the same hosts.
type classKey string

// classKeyOf encodes all requirements that refuses evaluates.
func classKeyOf(w *requirements) classKey {
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
	return classKey(b.String())
}

func comparePorts(a, b port) int {
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.protocol, b.protocol))
}
