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

package validation

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func validHost() *fleet.Host {
	return &fleet.Host{
		ObjectMeta: metav1.ObjectMeta{Name: "edge-1.example.com"},
		Spec:       fleet.HostSpec{Taints: []fleet.Taint{{Key: "example.com/dedicated", Value: "batch", Effect: fleet.TaintEffectNoSchedule}}},
		Status: fleet.HostStatus{
			Capacity: fleet.ResourceList{
				fleet.ResourceCPU:       resource.MustParse("3500m"),
				fleet.ResourceMemory:    resource.MustParse("8Gi"),
				fleet.ResourceInstances: resource.MustParse("110"),
				"example.com/gpu":       resource.MustParse("2"),
			},
			Conditions: []metav1.Condition{condition(fleet.HostConditionReady)},
			Addresses: []fleet.HostAddress{
				{Type: fleet.HostInternalIP, Address: "192.0.2.1"},
				{Type: fleet.HostExternalIP, Address: "2001:db8::1"},
				{Type: fleet.HostHostname, Address: "edge-1.example.com"},
			},
		},
	}
}

func TestAHostIsChecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*fleet.Host)
		want   []want
	}{
		{name: "a whole host is valid"},
		{name: "a host with nothing but a name is valid", change: func(h *fleet.Host) {
			*h = fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
		}},
		{name: "a generated name is valid once it is there", change: func(h *fleet.Host) { h.GenerateName = "edge-" }},
		{name: "a name is required", change: func(h *fleet.Host) { h.Name = "" }, want: []want{{required, "metadata.name"}}},
		{name: "a name has no capitals", change: func(h *fleet.Host) { h.Name = "Edge" }, want: []want{{invalid, "metadata.name"}}},
		{name: "a name has no slash", change: func(h *fleet.Host) { h.Name = "a/b" }, want: []want{{invalid, "metadata.name"}}},
		{name: "a host lives in no namespace", change: func(h *fleet.Host) { h.Namespace = "default" }, want: []want{{forbidden, "metadata.namespace"}}},
		{name: "a label is a label", change: func(h *fleet.Host) { h.Labels = map[string]string{"zone": "not a value"} }, want: []want{{invalid, "metadata.labels"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := validHost()
			if test.change != nil {
				test.change(host)
			}
			check(t, ValidateHost(host), test.want)
		})
	}
}

func TestTheStatusOfAHostIsChecked(t *testing.T) {
	setAddress := func(kind fleet.HostAddressType, address string) func(*fleet.Host) {
		return func(h *fleet.Host) { h.Status.Addresses = []fleet.HostAddress{{Type: kind, Address: address}} }
	}
	setCapacity := func(name fleet.ResourceName, amount string) func(*fleet.Host) {
		return func(h *fleet.Host) {
			h.Status.Capacity = fleet.ResourceList{name: resource.MustParse(amount)}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*fleet.Host)
		want   []want
	}{
		{name: "a whole status is valid"},
		{name: "an empty status is valid", change: func(h *fleet.Host) { h.Status = fleet.HostStatus{} }},
		{name: "nothing at all of a resource is valid", change: setCapacity(fleet.ResourceCPU, "0")},
		{name: "cores may be parts", change: setCapacity(fleet.ResourceCPU, "1m")},
		{name: "an internal IP is an IP address", change: setAddress(fleet.HostInternalIP, "edge-1"), want: []want{{invalid, "status.addresses[0].address"}}},
		{name: "an external IP is an IP address", change: setAddress(fleet.HostExternalIP, "192.0.2.256"), want: []want{{invalid, "status.addresses[0].address"}}},
		{name: "an IP address is in canonical form", change: setAddress(fleet.HostInternalIP, "2001:db8:0::1"), want: []want{{invalid, "status.addresses[0].address"}}},
		{name: "a host name is a DNS name", change: setAddress(fleet.HostHostname, "edge_1"), want: []want{{invalid, "status.addresses[0].address"}}},
		{name: "an empty host name is for the declarative rule to refuse", change: setAddress(fleet.HostHostname, "")},
		{name: "an unknown type of address is for the declarative rule to refuse", change: setAddress("Pigeon", "anything")},
		{name: "a resource without a domain must be a known one", change: setCapacity("gpu", "1"), want: []want{{notSupported, "status.capacity[gpu]"}}},
		{name: "an extended resource has a qualified name", change: setCapacity("example.com/", "1"), want: []want{{invalid, "status.capacity[example.com/]"}, {invalid, "status.capacity[example.com/]"}}},
		{name: "an amount is not negative", change: setCapacity(fleet.ResourceMemory, "-1"), want: []want{{invalid, "status.capacity[memory]"}}},
		{name: "instances come in whole numbers", change: setCapacity(fleet.ResourceInstances, "1500m"), want: []want{{invalid, "status.capacity[instances]"}}},
		{name: "extended resources come in whole numbers", change: setCapacity("example.com/gpu", "500m"), want: []want{{invalid, "status.capacity[example.com/gpu]"}}},
		{name: "allocatable obeys the rules of capacity", change: func(h *fleet.Host) {
			h.Status.Allocatable = fleet.ResourceList{"disk": resource.MustParse("1"), fleet.ResourceCPU: resource.MustParse("-1")}
		}, want: []want{{notSupported, "status.allocatable[disk]"}, {invalid, "status.allocatable[cpu]"}}},
		{name: "a condition needs a time, a status and a reason", change: func(h *fleet.Host) {
			h.Status.Conditions = []metav1.Condition{{Type: fleet.HostConditionReady}}
		}, want: []want{
			{required, "status.conditions[0].lastTransitionTime"},
			{required, "status.conditions[0].status"},
			{required, "status.conditions[0].reason"},
		}},
		{name: "every error is reported, not the first", change: func(h *fleet.Host) {
			h.Status.Addresses = []fleet.HostAddress{{Type: fleet.HostInternalIP, Address: "x"}, {Type: fleet.HostHostname, Address: "ok"}, {Type: fleet.HostExternalIP, Address: "y"}}
		}, want: []want{{invalid, "status.addresses[0].address"}, {invalid, "status.addresses[2].address"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := validHost()
			if test.change != nil {
				test.change(host)
			}
			check(t, ValidateHostStatusUpdate(host, validHost()), test.want)
		})
	}
}

func TestAChangedHostSpecIsLeftToTheDeclarativeRules(t *testing.T) {
	host := validHost()
	host.Spec = fleet.HostSpec{Unschedulable: true}
	check(t, ValidateHostUpdate(host, validHost()), nil)
}

func TestAHostLeaseIsCheckedForItsName(t *testing.T) {
	lease := &fleet.HostLease{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
	check(t, ValidateHostLease(lease), nil)
	check(t, ValidateHostLeaseUpdate(lease, lease), nil)
	lease.Name, lease.Namespace = "Edge", "default"
	check(t, ValidateHostLease(lease), []want{{invalid, "metadata.name"}, {forbidden, "metadata.namespace"}})
}
