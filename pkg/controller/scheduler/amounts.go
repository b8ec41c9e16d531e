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
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// most is the bound of amounts: two thousand of them can be summed up without an overflow. A host's
// own are bounded one below, so that a request that was cut off fits nowhere.
const most = int64(1) << 52

// extended is an amount of an extended resource.
type extended struct {
	name   v1alpha1.ResourceName
	amount int64
}

// amounts are resources as integers: summing up quantities would be slow.
type amounts struct {
	milliCPU, memory, instances int64
	// extended are sorted by name.
	extended []extended
}

// rounded returns a quantity in whole units of the scale. Requests are rounded up, and the
// resources of hosts down.
func rounded(quantity resource.Quantity, scale resource.Scale, up bool) int64 {
	limit := most
	if scale == resource.Milli {
		limit = most / 1000
	}
	switch {
	case quantity.Sign() <= 0:
		return 0
	case quantity.CmpInt64(limit) >= 0 && up:
		return most
	case quantity.CmpInt64(limit) >= 0:
		return most - 1
	}
	value := quantity.ScaledValue(scale)
	if !up && quantity.Cmp(*resource.NewScaledQuantity(value, scale)) < 0 {
		value--
	}
	return value
}

func amountsOf(list v1alpha1.ResourceList, up bool) amounts {
	var a amounts
	for name, quantity := range list {
		switch name {
		case v1alpha1.ResourceCPU:
			a.milliCPU = rounded(quantity, resource.Milli, up)
		case v1alpha1.ResourceMemory:
			a.memory = rounded(quantity, 0, up)
		case v1alpha1.ResourceInstances:
			a.instances = rounded(quantity, 0, up)
		default:
			a.extended = append(a.extended, extended{name, rounded(quantity, 0, up)})
		}
	}
	slices.SortFunc(a.extended, func(x, y extended) int { return cmp.Compare(x.name, y.name) })
	return a
}

// extendedAmount returns the amount of an extended resource; 0 if there is none.
func (a *amounts) extendedAmount(name v1alpha1.ResourceName) int64 {
	for i := range a.extended {
		if a.extended[i].name == name {
			return a.extended[i].amount
		}
	}
	return 0
}

func (a *amounts) equals(other *amounts) bool {
	return a.milliCPU == other.milliCPU && a.memory == other.memory && a.instances == other.instances && slices.Equal(a.extended, other.extended)
}

// add adds another's amounts, times times.
func (a *amounts) add(other *amounts, times int64) {
	a.milliCPU += times * other.milliCPU
	a.memory += times * other.memory
	a.instances += times * other.instances
next:
	for _, o := range other.extended {
		for i := range a.extended {
			if a.extended[i].name == o.name {
				a.extended[i].amount += times * o.amount
				continue next
			}
		}
		a.extended = append(a.extended, extended{o.name, times * o.amount})
	}
}

// port is a port of a host, which only one instance can use.
type port struct {
	number   int32
	protocol v1alpha1.Protocol
}

// demand is what an instance uses of its host.
type demand struct {
	amounts
	ports []port
	// group is the UID of the instance's controller, because instances of one controller are spread; empty
	// if it has none.
	group types.UID
}

func demandOf(instance *v1alpha1.Instance) demand {
	d := demand{amounts: amounts{instances: 1}}
	for i := range instance.Spec.Containers {
		container := &instance.Spec.Containers[i]
		requests := amountsOf(container.Resources.Requests, true)
		requests.instances = 0
		d.add(&requests, 1)
		for _, p := range container.Ports {
			if p.HostPort != 0 {
				d.ports = append(d.ports, port{p.HostPort, cmp.Or(p.Protocol, v1alpha1.ProtocolTCP)})
			}
		}
	}
	for i := range instance.OwnerReferences {
		if owner := &instance.OwnerReferences[i]; owner.Controller != nil && *owner.Controller {
			d.group = owner.UID
		}
	}
	return d
}

// label is a label that a host must have.
type label struct{ key, value string }

// requirements are what an instance requires of a host.
type requirements struct {
	demand
	selector    []label
	tolerations []v1alpha1.Toleration
}

func requirementsOf(instance *v1alpha1.Instance) requirements {
	w := requirements{demand: demandOf(instance), tolerations: instance.Spec.Tolerations}
	for _, key := range slices.Sorted(maps.Keys(instance.Spec.HostSelector)) {
		w.selector = append(w.selector, label{key, instance.Spec.HostSelector[key]})
	}
	return w
}
