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

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:supportsSubresource="/status"

// Host is a machine outside the cluster on which instances run. Its agent registers it, reports
// its state and its resources in status, and watches the instances that are bound to it.
type Host struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is the host's name: a DNS subdomain.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the desired state of the host, which an operator sets.
	// +optional
	Spec HostSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status is the state that the host's agent and the host lifecycle controller last reported.
	// It is written through the status subresource only.
	// +optional
	Status HostStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// HostSpec is the desired state of a host.
type HostSpec struct {
	// unschedulable prevents the scheduling of new instances on the host. Existing instances
	// remain.
	// +optional
	Unschedulable bool `json:"unschedulable,omitempty" protobuf:"varint,1,opt,name=unschedulable"`

	// taints repel every instance that does not tolerate them. At most 64, not counting those of
	// the host lifecycle controller. Each combination of key and effect must be unique.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=key
	// +k8s:listMapKey=effect
	// +k8s:maxItems=68
	Taints []Taint `json:"taints,omitempty" protobuf:"bytes,2,rep,name=taints"`
}

// HostStatus is the observed state of a host.
type HostStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status observed.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// capacity is the total amount of each resource of the host: cpu, memory, instances, and
	// extended resources such as example.com/gpu.
	// +optional
	Capacity ResourceList `json:"capacity,omitempty" protobuf:"bytes,2,rep,name=capacity,casttype=ResourceList,castkey=ResourceName"`

	// allocatable is the part of capacity that instances may use. Defaults to capacity.
	// +optional
	Allocatable ResourceList `json:"allocatable,omitempty" protobuf:"bytes,3,rep,name=allocatable,casttype=ResourceList,castkey=ResourceName"`

	// conditions describe the host's state. The most important one is Ready: True if the agent
	// is running and can run instances, Unknown if the agent has not reported for too long.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=type
	// +k8s:maxItems=32
	// +k8s:eachVal=+k8s:opaqueType
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,4,rep,name=conditions"`

	// addresses are those at which the host is reachable, the preferred one first.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=32
	Addresses []HostAddress `json:"addresses,omitempty" protobuf:"bytes,5,rep,name=addresses"`

	// info describes the host's system and its agent.
	// +optional
	Info HostInfo `json:"info,omitempty" protobuf:"bytes,6,opt,name=info"`
}

const (
	// HostConditionReady indicates whether the host's agent is running and can run instances.
	HostConditionReady = "Ready"
	// HostReasonNotReported is the reason of a condition Ready that the server sets on a new host:
	// its agent has not reported yet.
	HostReasonNotReported = "NotReported"
)

// HostAddressType is the type of an address of a host.
// +enum
// +k8s:enum
type HostAddressType string

const (
	// HostInternalIP is an IP address that is reachable within the host's own network.
	HostInternalIP HostAddressType = "InternalIP"
	// HostExternalIP is an IP address that is reachable from other networks.
	HostExternalIP HostAddressType = "ExternalIP"
	// HostHostname is a name that resolves to the host.
	HostHostname HostAddressType = "Hostname"
)

// HostAddress is an address of a host.
type HostAddress struct {
	// type of the address: InternalIP, ExternalIP or Hostname.
	// +required
	// +k8s:required
	Type HostAddressType `json:"type" protobuf:"bytes,1,opt,name=type,casttype=HostAddressType"`

	// address is an IP address, or a DNS name for type Hostname.
	// +required
	// +k8s:required
	// +k8s:maxLength=253
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`
}

// HostInfo describes a host's system and its agent.
type HostInfo struct {
	// operatingSystem is the name of the operating system, such as linux.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	OperatingSystem string `json:"operatingSystem,omitempty" protobuf:"bytes,1,opt,name=operatingSystem"`

	// architecture is the processor's architecture in Go's notation, such as amd64 or arm64.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Architecture string `json:"architecture,omitempty" protobuf:"bytes,2,opt,name=architecture"`

	// kernelVersion is the version that the kernel reports.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	KernelVersion string `json:"kernelVersion,omitempty" protobuf:"bytes,3,opt,name=kernelVersion"`

	// agentVersion is the version of the host's agent.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	AgentVersion string `json:"agentVersion,omitempty" protobuf:"bytes,4,opt,name=agentVersion"`

	// runtimeVersion is the name and the version of the container runtime, such as
	// containerd://2.2.0.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	RuntimeVersion string `json:"runtimeVersion,omitempty" protobuf:"bytes,5,opt,name=runtimeVersion"`

	// machineID is the identifier of the machine, such as the content of /etc/machine-id.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	MachineID string `json:"machineID,omitempty" protobuf:"bytes,6,opt,name=machineID"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostList is a list of hosts.
type HostList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of hosts.
	Items []Host `json:"items" protobuf:"bytes,2,rep,name=items"`
}
