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

// Instance is one copy of a workload that runs on a host. The scheduler binds it to a host,
// whose agent runs it and reports its status.
type Instance struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the desired state: what to run and where. After creation, only
	// containers[*].image, activeDeadlineSeconds (shortened, or set for the first time) and
	// added tolerations may change.
	// +required
	Spec InstanceSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is the state that the agent of the instance's host last reported. It is written
	// through the status subresource only.
	// +optional
	Status InstanceStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// RestartPolicy describes when terminated containers are restarted.
// +enum
// +k8s:enum
type RestartPolicy string

const (
	// RestartPolicyAlways restarts a terminated container, whatever its exit code.
	RestartPolicyAlways RestartPolicy = "Always"
	// RestartPolicyOnFailure restarts a container that terminated with an error.
	RestartPolicyOnFailure RestartPolicy = "OnFailure"
	// RestartPolicyNever does not restart a terminated container.
	RestartPolicyNever RestartPolicy = "Never"
)

// InstanceSpec describes what an instance runs, and on which hosts it may run.
type InstanceSpec struct {
	// containers are the 1 to 16 containers of the instance, which run on the same host. Each
	// must have a unique name.
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

	// hostName is the name of the host that runs the instance. It is empty until the instance is
	// bound, and is set only by the creation of a Binding at the binding subresource, never by a
	// create or an update.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	HostName string `json:"hostName,omitempty" protobuf:"bytes,2,opt,name=hostName"`

	// hostSelector limits the hosts on which the instance can be scheduled to those with all of
	// these labels.
	// +optional
	// +mapType=atomic
	HostSelector map[string]string `json:"hostSelector,omitempty" protobuf:"bytes,3,rep,name=hostSelector"`

	// tolerations allow the instance to be scheduled on hosts with matching taints.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=128
	Tolerations []Toleration `json:"tolerations,omitempty" protobuf:"bytes,4,rep,name=tolerations"`

	// restartPolicy describes when terminated containers are restarted: Always, OnFailure or
	// Never. Defaults to Always.
	// +optional
	// +default="Always"
	// +k8s:optional
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty" protobuf:"bytes,5,opt,name=restartPolicy,casttype=RestartPolicy"`

	// serviceAccountName is the name of the service account, in the instance's namespace, that
	// the instance may use to access the API.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	ServiceAccountName string `json:"serviceAccountName,omitempty" protobuf:"bytes,6,opt,name=serviceAccountName"`

	// terminationGracePeriodSeconds is the time in seconds between the request to stop a
	// container and its kill. Defaults to 30; 0 kills immediately.
	// +optional
	// +default=30
	// +k8s:optional
	// +k8s:minimum=0
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty" protobuf:"varint,7,opt,name=terminationGracePeriodSeconds"`

	// activeDeadlineSeconds is the time in seconds, relative to status.startTime, for which the
	// instance may be active on a host before it is stopped and marked Failed. Must be at least
	// 1. It may be set or shortened later, but not extended.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	// +k8s:maximum=2147483647
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty" protobuf:"varint,8,opt,name=activeDeadlineSeconds"`

	// hostNetwork runs the instance in the network of its host: it has the addresses of the host,
	// and its ports are those of the host.
	// +optional
	HostNetwork bool `json:"hostNetwork,omitempty" protobuf:"varint,9,opt,name=hostNetwork"`

	// volumes are directories and files that the containers can mount.
	// +optional
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=64
	Volumes []Volume `json:"volumes,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,10,rep,name=volumes"`

	// imagePullSecrets are Secrets of type kubernetes.io/dockerconfigjson or
	// kubernetes.io/dockercfg, in the instance's namespace, with credentials of registries.
	// +optional
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=16
	ImagePullSecrets []LocalObjectReference `json:"imagePullSecrets,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,11,rep,name=imagePullSecrets"`

	// automountServiceAccountToken indicates whether the containers get a token of the service
	// account, at /var/run/secrets/kubernetes.io/serviceaccount. Defaults to true.
	// +optional
	// +k8s:optional
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitempty" protobuf:"varint,12,opt,name=automountServiceAccountToken"`

	// stopAfterDisconnectSeconds is the time in seconds after which the host stops the instance
	// if the server does not answer. Without it, the instance runs on. The instance starts again
	// when the server answers, unless it was evicted meanwhile.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	// +k8s:maximum=2147483647
	StopAfterDisconnectSeconds *int64 `json:"stopAfterDisconnectSeconds,omitempty" protobuf:"varint,13,opt,name=stopAfterDisconnectSeconds"`
}

// InstancePhase is a summary of where an instance is in its lifecycle.
// +enum
// +k8s:enum
type InstancePhase string

const (
	// InstancePending means that the instance was accepted, but not all containers have started.
	InstancePending InstancePhase = "Pending"
	// InstanceRunning means that the instance is bound to a host, and at least one container
	// runs or restarts.
	InstanceRunning InstancePhase = "Running"
	// InstanceSucceeded means that all containers terminated without error and will not be
	// restarted.
	InstanceSucceeded InstancePhase = "Succeeded"
	// InstanceFailed means that all containers terminated, at least one of them with an error.
	InstanceFailed InstancePhase = "Failed"
	// InstanceUnknown means that the host has not reported.
	InstanceUnknown InstancePhase = "Unknown"
)

const (
	// InstanceConditionScheduled indicates whether the instance is bound to a host.
	InstanceConditionScheduled = "Scheduled"
	// InstanceConditionContainersReady indicates whether all containers are ready.
	InstanceConditionContainersReady = "ContainersReady"
	// InstanceConditionReady indicates whether the instance is operational.
	InstanceConditionReady = "Ready"
	// InstanceConditionStalled indicates whether the instance has failed permanently and cannot
	// become ready. The server sets it.
	InstanceConditionStalled = "Stalled"
)

// InstanceStatus is the observed state of an instance.
type InstanceStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status observed.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// phase is a summary of where the instance is in its lifecycle: Pending, Running, Succeeded,
	// Failed or Unknown.
	// +optional
	// +k8s:optional
	Phase InstancePhase `json:"phase,omitempty" protobuf:"bytes,2,opt,name=phase,casttype=InstancePhase"`

	// conditions describe the instance's state: Scheduled, ContainersReady, Ready.
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

	// reason is a brief CamelCase word that describes why the instance is in its phase, such as
	// Evicted.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Reason string `json:"reason,omitempty" protobuf:"bytes,4,opt,name=reason"`

	// message is the reason in human-readable form.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`

	// hostIP is an IP address of the instance's host.
	// +optional
	// +k8s:optional
	HostIP string `json:"hostIP,omitempty" protobuf:"bytes,6,opt,name=hostIP"`

	// instanceIP is the IP address of the instance, if it has one.
	// +optional
	// +k8s:optional
	InstanceIP string `json:"instanceIP,omitempty" protobuf:"bytes,7,opt,name=instanceIP"`

	// startTime is the time at which the host's agent accepted the instance.
	// +optional
	// +k8s:opaqueType
	StartTime *metav1.Time `json:"startTime,omitempty" protobuf:"bytes,8,opt,name=startTime"`

	// containerStatuses are the states of the containers, by name.
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

	// items is the list of instances.
	Items []Instance `json:"items" protobuf:"bytes,2,rep,name=items"`
}
