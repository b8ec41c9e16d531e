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

// HostLease is a host's heartbeat: a small object of the host's name that its agent
// renews often, so that the large Host object need not be written.
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

// HostLeaseSpec is a host's heartbeat.
type HostLeaseSpec struct {
	// renewTime is when the agent last renewed the lease, by its own clock.
	// +optional
	// +k8s:opaqueType
	RenewTime *metav1.MicroTime `json:"renewTime,omitempty" protobuf:"bytes,1,opt,name=renewTime"`

	// leaseDurationSeconds is for how long after renewTime the host counts as alive, in
	// seconds. At least 1; 40 where nothing is said.
	// +optional
	// +default=40
	// +k8s:optional
	// +k8s:minimum=1
	LeaseDurationSeconds *int32 `json:"leaseDurationSeconds,omitempty" protobuf:"varint,2,opt,name=leaseDurationSeconds"`

	// holderIdentity says who renews the lease; by custom the host's name.
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

	// items are the host leases.
	Items []HostLease `json:"items" protobuf:"bytes,2,rep,name=items"`
}
