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

// HostLease is the heartbeat of a host: a small object with the host's name that the agent
// renews often, so that it does not have to update the large Host object.
type HostLease struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is the name of the host.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the heartbeat.
	// +optional
	Spec HostLeaseSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// HostLeaseSpec is the heartbeat of a host.
type HostLeaseSpec struct {
	// renewTime is the time at which the agent last renewed the lease, according to the clock of
	// the agent.
	// +optional
	// +k8s:opaqueType
	RenewTime *metav1.MicroTime `json:"renewTime,omitempty" protobuf:"bytes,1,opt,name=renewTime"`

	// leaseDurationSeconds is the time in seconds after renewTime for which the host counts as
	// alive. Must be at least 1. Defaults to 40.
	// +optional
	// +default=40
	// +k8s:optional
	// +k8s:minimum=1
	LeaseDurationSeconds *int32 `json:"leaseDurationSeconds,omitempty" protobuf:"varint,2,opt,name=leaseDurationSeconds"`

	// holderIdentity is the identity of the holder of the lease, by convention the host's name.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	HolderIdentity string `json:"holderIdentity,omitempty" protobuf:"bytes,3,opt,name=holderIdentity"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostLeaseList is a list of host leases.
type HostLeaseList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of host leases.
	Items []HostLease `json:"items" protobuf:"bytes,2,rep,name=items"`
}
