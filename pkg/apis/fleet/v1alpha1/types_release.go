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

// Release is one version of an app, with the number of instances of it that shall run. The
// release controller makes and deletes instances until there are as many. Its revision is in
// the annotation fleet.gatehouse.dev/revision.
type Release struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says what is to run, and how many times. Selector and template never change.
	// +required
	Spec ReleaseSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is what the release controller last saw. Written through the status subresource only.
	// +optional
	Status ReleaseStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// ReleaseSpec is what is wanted of a release.
type ReleaseSpec struct {
	// replicas is how many instances shall run; 1 where nothing is said.
	// +optional
	// +default=1
	// +k8s:optional
	// +k8s:minimum=0
	Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`

	// minReadySeconds is for how long a new instance must have been ready before it counts as
	// available, in seconds; 0 where nothing is said.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty" protobuf:"varint,2,opt,name=minReadySeconds"`

	// selector chooses the release's instances by their labels. It must match the labels of the
	// template, must not be empty, and never changes.
	// +required
	// +k8s:opaqueType
	Selector *metav1.LabelSelector `json:"selector" protobuf:"bytes,3,opt,name=selector"`

	// template is what each instance is made of. It never changes: another version is another
	// release.
	// +required
	Template InstanceTemplateSpec `json:"template" protobuf:"bytes,4,opt,name=template"`
}

const (
	// ReleaseConditionReplicaFailure says that instances cannot be created or deleted, and why.
	ReleaseConditionReplicaFailure = "ReplicaFailure"
	// ReleaseConditionReady says whether all wanted instances are available, and no others are left.
	ReleaseConditionReady = "Ready"
	// ReleaseConditionReconciling says whether the controller is bringing the release there.
	ReleaseConditionReconciling = "Reconciling"
	// ReleaseConditionStalled says whether something must be changed first: instances cannot be
	// created or deleted.
	ReleaseConditionStalled = "Stalled"
)

// ReleaseStatus is what is known of a release.
type ReleaseStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status had seen.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// replicas is how many instances there are.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	Replicas int32 `json:"replicas,omitempty" protobuf:"varint,2,opt,name=replicas"`

	// readyReplicas is how many instances are ready.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ReadyReplicas int32 `json:"readyReplicas,omitempty" protobuf:"varint,3,opt,name=readyReplicas"`

	// availableReplicas is how many instances have been ready for minReadySeconds.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	AvailableReplicas int32 `json:"availableReplicas,omitempty" protobuf:"varint,4,opt,name=availableReplicas"`

	// conditions tell the release's state: Ready, Reconciling and Stalled, which tools wait
	// for; ReplicaFailure.
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

	// items are the releases.
	Items []Release `json:"items" protobuf:"bytes,2,rep,name=items"`
}
