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

package host

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func TestTheStatusOfAHostReadsAsThatOfANode(t *testing.T) {
	ready := func(status metav1.ConditionStatus) []metav1.Condition {
		return []metav1.Condition{
			{Type: "DiskFull", Status: metav1.ConditionTrue},
			{Type: fleet.HostConditionReady, Status: status},
		}
	}
	for _, test := range []struct {
		name          string
		conditions    []metav1.Condition
		unschedulable bool
		want          string
	}{
		{name: "a host that has reported nothing is Unknown", want: "Unknown"},
		{name: "a host that reports True is Ready", conditions: ready(metav1.ConditionTrue), want: "Ready"},
		{name: "a host that reports False is NotReady", conditions: ready(metav1.ConditionFalse), want: "NotReady"},
		{name: "a host that was not heard of is Unknown", conditions: ready(metav1.ConditionUnknown), want: "Unknown"},
		{name: "other conditions do not count", conditions: ready("")[:1], want: "Unknown"},
		{name: "a cordoned host shows it", conditions: ready(metav1.ConditionTrue), unschedulable: true, want: "Ready,SchedulingDisabled"},
		{name: "a cordoned host that is unknown shows both", unschedulable: true, want: "Unknown,SchedulingDisabled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := &fleet.Host{Spec: fleet.HostSpec{Unschedulable: test.unschedulable}, Status: fleet.HostStatus{Conditions: test.conditions}}
			if got := statusCell(host); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheAddressOfAHostIsTheInternalOneWhereThereIsOne(t *testing.T) {
	var (
		internal = fleet.HostAddress{Type: fleet.HostInternalIP, Address: "192.0.2.1"}
		second   = fleet.HostAddress{Type: fleet.HostInternalIP, Address: "192.0.2.2"}
		external = fleet.HostAddress{Type: fleet.HostExternalIP, Address: "198.51.100.1"}
		name     = fleet.HostAddress{Type: fleet.HostHostname, Address: "edge-1.example.com"}
	)
	for _, test := range []struct {
		name      string
		addresses []fleet.HostAddress
		want      string
	}{
		{name: "none is printed as <none>", want: "<none>"},
		{name: "an internal one precedes an external one", addresses: []fleet.HostAddress{name, external, internal}, want: "192.0.2.1"},
		{name: "the first internal one is the preferred one", addresses: []fleet.HostAddress{internal, second}, want: "192.0.2.1"},
		{name: "an external one precedes a name", addresses: []fleet.HostAddress{name, external}, want: "198.51.100.1"},
		{name: "a name is better than nothing", addresses: []fleet.HostAddress{name}, want: "edge-1.example.com"},
		{name: "an address of another type is not shown", addresses: []fleet.HostAddress{{Type: "Pigeon", Address: "loft"}}, want: "<none>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := addressCell(&fleet.Host{Status: fleet.HostStatus{Addresses: test.addresses}}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
