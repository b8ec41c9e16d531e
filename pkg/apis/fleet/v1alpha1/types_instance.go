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
// +genclient:method=Bind,verb=create,subresource=binding,input=Binding,result=k8s.io/apimachinery/pkg/apis/meta/v1.Status
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:supportsSubresource="/status"
// +k8s:supportsSubresource="/binding"

// Instance is one copy of a workload, running on one host. The scheduler binds it to a
// host; that host's agent runs it and reports its status.
type Instance struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says what is to run. After creation only containers[*].image,
	// activeDeadlineSeconds (shorter, or newly set) and added tolerations may change.
	// +required
	Spec InstanceSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is what the agent of the instance's host last reported. Written through the
	// status subresource only.
	// +optional
	Status InstanceStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// RestartPolicy says when containers that have ended are started again.
// +enum
// +k8s:enum
type RestartPolicy string

const (
	// RestartPolicyAlways starts a container again however it ended.
	RestartPolicyAlways RestartPolicy = "Always"
	// RestartPolicyOnFailure starts a container again when it ended with an error.
	RestartPolicyOnFailure RestartPolicy = "OnFailure"
	// RestartPolicyNever leaves a container that has ended as it is.
	RestartPolicyNever RestartPolicy = "Never"
)

// InstanceSpec says what an instance is to run, and where it may.
type InstanceSpec struct {
	// containers are what runs, side by side on one host: 1 to 16, each with a name of its own.
	// +required
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:required
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=16
	Containers []Container `json:"containers" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,1,rep,name=containers"`

	// hostName is the host that runs the instance. Empty until the instance is bound; set
	// only by creating a Binding at the binding subresource, never in a create or an update.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	HostName string `json:"hostName,omitempty" protobuf:"bytes,2,opt,name=hostName"`

	// hostSelector limits the hosts that the scheduler considers to those that carry all of
	// these labels.
	// +optional
	// +mapType=atomic
	HostSelector map[string]string `json:"hostSelector,omitempty" protobuf:"bytes,3,rep,name=hostSelector"`

	// tolerations let the instance onto hosts in spite of matching taints.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=128
	Tolerations []Toleration `json:"tolerations,omitempty" protobuf:"bytes,4,rep,name=tolerations"`

	// restartPolicy says when containers that have ended are started again: Always
	// (default), OnFailure or Never.
	// +optional
	// +default="Always"
	// +k8s:optional
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty" protobuf:"bytes,5,opt,name=restartPolicy,casttype=RestartPolicy"`

	// serviceAccountName is the service account, in the instance's namespace, as which the
	// instance may talk to the API.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	ServiceAccountName string `json:"serviceAccountName,omitempty" protobuf:"bytes,6,opt,name=serviceAccountName"`

	// terminationGracePeriodSeconds is how long the containers have between being asked to
	// stop and being killed, in seconds; 30 where nothing is said, 0 kills at once.
	// +optional
	// +default=30
	// +k8s:optional
	// +k8s:minimum=0
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty" protobuf:"varint,7,opt,name=terminationGracePeriodSeconds"`

	// activeDeadlineSeconds is how long the instance may be active on a host, counted from
	// status.startTime, before it is stopped and marked Failed; in seconds, at least 1. It
	// may be set or made shorter later, never longer.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	// +k8s:maximum=2147483647
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty" protobuf:"varint,8,opt,name=activeDeadlineSeconds"`
}

// InstancePhase sums up where an instance is in its life.
// +enum
// +k8s:enum
type InstancePhase string

const (
	// InstancePending means accepted, but not all containers have been started.
	InstancePending InstancePhase = "Pending"
	// InstanceRunning means bound to a host, and at least one container runs or restarts.
	InstanceRunning InstancePhase = "Running"
	// InstanceSucceeded means that all containers have ended without error and will not be started again.
	InstanceSucceeded InstancePhase = "Succeeded"
	// InstanceFailed means that all containers have ended, at least one of them with an error.
	InstanceFailed InstancePhase = "Failed"
	// InstanceUnknown means that the host has not been heard of.
	InstanceUnknown InstancePhase = "Unknown"
)

const (
	// InstanceConditionScheduled says whether the instance has been bound to a host.
	InstanceConditionScheduled = "Scheduled"
	// InstanceConditionContainersReady says whether all containers are ready.
	InstanceConditionContainersReady = "ContainersReady"
	// InstanceConditionReady says whether the instance does its work.
	InstanceConditionReady = "Ready"
	// InstanceConditionStalled says whether the instance has failed for good and cannot become
	// ready any more. The server sets it.
	InstanceConditionStalled = "Stalled"
)

// InstanceStatus is what is known of an instance.
type InstanceStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status had seen.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// phase sums up where the instance is in its life: Pending, Running, Succeeded, Failed
	// or Unknown.
	// +optional
	// +k8s:optional
	Phase InstancePhase `json:"phase,omitempty" protobuf:"bytes,2,opt,name=phase,casttype=InstancePhase"`

	// conditions tell the instance's state: Scheduled, ContainersReady, Ready.
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
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,3,rep,name=conditions"`

	// reason is a short CamelCase word for why the instance is in its phase, such as Evicted.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Reason string `json:"reason,omitempty" protobuf:"bytes,4,opt,name=reason"`

	// message says the same for people.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`

	// hostIP is an IP address of the instance's host.
	// +optional
	// +k8s:optional
	HostIP string `json:"hostIP,omitempty" protobuf:"bytes,6,opt,name=hostIP"`

	// instanceIP is the instance's own IP address, where it has one.
	// +optional
	// +k8s:optional
	InstanceIP string `json:"instanceIP,omitempty" protobuf:"bytes,7,opt,name=instanceIP"`

	// startTime is when the host's agent accepted the instance.
	// +optional
	// +k8s:opaqueType
	StartTime *metav1.Time `json:"startTime,omitempty" protobuf:"bytes,8,opt,name=startTime"`

	// containerStatuses tell of each container, by its name.
	// +optional
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=16
	ContainerStatuses []ContainerStatus `json:"containerStatuses,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,9,rep,name=containerStatuses"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceList is a list of instances.
type InstanceList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the instances.
	Items []Instance `json:"items" protobuf:"bytes,2,rep,name=items"`
}
