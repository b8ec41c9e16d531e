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
// +genclient:method=GetScale,verb=get,subresource=scale,result=k8s.io/api/autoscaling/v1.Scale
// +genclient:method=UpdateScale,verb=update,subresource=scale,input=k8s.io/api/autoscaling/v1.Scale,result=k8s.io/api/autoscaling/v1.Scale
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:supportsSubresource="/status"
// +k8s:supportsSubresource="/scale"

// Release is one version of an app with a desired number of instances. The release controller
// creates and deletes instances until the number matches. The revision is in the annotation
// fleet.gatehouse.dev/revision.
type Release struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the desired state: what to run, and how many times. Selector and template are
	// immutable.
	// +required
	Spec ReleaseSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is the state that the release controller last observed. It is written through the
	// status subresource only.
	// +optional
	Status ReleaseStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// ReleaseSpec is the desired state of a release.
type ReleaseSpec struct {
	// replicas is the desired number of instances. Defaults to 1.
	// +optional
	// +default=1
	// +k8s:optional
	// +k8s:minimum=0
	Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`

	// minReadySeconds is the minimum number of seconds for which a new instance must be ready
	// before it counts as available. Defaults to 0.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty" protobuf:"varint,2,opt,name=minReadySeconds"`

	// selector selects the release's instances by their labels. It must match the labels of the
	// template, must not be empty, and is immutable.
	// +required
	// +k8s:opaqueType
	Selector *metav1.LabelSelector `json:"selector" protobuf:"bytes,3,opt,name=selector"`

	// template describes the instances. It is immutable: another version is another release.
	// +required
	Template InstanceTemplateSpec `json:"template" protobuf:"bytes,4,opt,name=template"`
}

const (
	// ReleaseConditionReplicaFailure indicates that instances cannot be created or deleted, with
	// the reason.
	ReleaseConditionReplicaFailure = "ReplicaFailure"
	// ReleaseConditionReady indicates whether all desired instances are available, and no others
	// are left.
	ReleaseConditionReady = "Ready"
	// ReleaseConditionReconciling indicates whether the controller is bringing the release to
	// that state.
	ReleaseConditionReconciling = "Reconciling"
	// ReleaseConditionStalled indicates whether a change is required before the release can
	// become ready: instances cannot be created or deleted.
	ReleaseConditionStalled = "Stalled"
)

// ReleaseStatus is the observed state of a release.
type ReleaseStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status observed.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// replicas is the number of instances.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	Replicas int32 `json:"replicas,omitempty" protobuf:"varint,2,opt,name=replicas"`

	// readyReplicas is the number of ready instances.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ReadyReplicas int32 `json:"readyReplicas,omitempty" protobuf:"varint,3,opt,name=readyReplicas"`

	// availableReplicas is the number of instances that have been ready for at least
	// minReadySeconds.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	AvailableReplicas int32 `json:"availableReplicas,omitempty" protobuf:"varint,4,opt,name=availableReplicas"`

	// conditions describe the release's state: Ready, Reconciling and Stalled, for which tools
	// wait; ReplicaFailure.
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
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,5,rep,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ReleaseList is a list of releases.
type ReleaseList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of releases.
	Items []Release `json:"items" protobuf:"bytes,2,rep,name=items"`
}
