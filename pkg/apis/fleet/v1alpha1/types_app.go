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
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +genclient
// +genclient:method=GetScale,verb=get,subresource=scale,result=k8s.io/api/autoscaling/v1.Scale
// +genclient:method=UpdateScale,verb=update,subresource=scale,input=k8s.io/api/autoscaling/v1.Scale,result=k8s.io/api/autoscaling/v1.Scale
// +genclient:method=Rollback,verb=create,subresource=rollback,input=AppRollback,result=k8s.io/apimachinery/pkg/apis/meta/v1.Status
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:supportsSubresource="/status"
// +k8s:supportsSubresource="/scale"
// +k8s:supportsSubresource="/rollback"

// App describes a number of identical instances that are kept running and updated from one
// version to the next without an outage. The app controller creates a Release for each version.
type App struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the desired state: what to run, how many times, and how a new version replaces the
	// old one.
	// +required
	Spec AppSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is the state that the app controller last observed. It is written through the
	// status subresource only.
	// +optional
	Status AppStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// AppSpec is the desired state of an app.
type AppSpec struct {
	// replicas is the desired number of instances. Defaults to 1; 0 stops the app.
	// +optional
	// +default=1
	// +k8s:optional
	// +k8s:minimum=0
	Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`

	// selector selects the app's instances by their labels. It must match the labels of the
	// template, must not be empty, and is immutable.
	// +required
	// +k8s:opaqueType
	Selector *metav1.LabelSelector `json:"selector" protobuf:"bytes,2,opt,name=selector"`

	// template describes the instances. A change of the template creates a new release.
	// +required
	Template InstanceTemplateSpec `json:"template" protobuf:"bytes,3,opt,name=template"`

	// strategy describes how instances of a new version replace old ones.
	// +optional
	// +patchStrategy=retainKeys
	Strategy AppStrategy `json:"strategy,omitempty" patchStrategy:"retainKeys" protobuf:"bytes,4,opt,name=strategy"`

	// minReadySeconds is the minimum number of seconds for which a new instance must be ready
	// before it counts as available. Defaults to 0.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty" protobuf:"varint,5,opt,name=minReadySeconds"`

	// revisionHistoryLimit is the number of old releases to retain for rollbacks. Defaults to
	// 10.
	// +optional
	// +default=10
	// +k8s:optional
	// +k8s:minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty" protobuf:"varint,6,opt,name=revisionHistoryLimit"`

	// progressDeadlineSeconds is the maximum time in seconds that a rollout may take without
	// progress before the condition Progressing becomes False with reason
	// ProgressDeadlineExceeded. Defaults to 600. Must be greater than minReadySeconds. Time
	// during which the app is paused does not count.
	// +optional
	// +default=600
	// +k8s:optional
	// +k8s:minimum=1
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty" protobuf:"varint,7,opt,name=progressDeadlineSeconds"`

	// paused indicates that changes of the template are not rolled out. Scaling continues.
	// +optional
	Paused bool `json:"paused,omitempty" protobuf:"varint,8,opt,name=paused"`
}

// InstanceTemplateSpec describes the instances that are created from a template.
type InstanceTemplateSpec struct {
	// metadata of the instances: labels and annotations. The selector must match the labels.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec of the instances, without hostName. restartPolicy must be Always, because terminated
	// instances are replaced, and activeDeadlineSeconds must be absent.
	// +required
	Spec InstanceSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`
}

// AppStrategyType is the name of a strategy that replaces instances.
// +enum
// +k8s:enum
type AppStrategyType string

const (
	// RollingUpdateAppStrategy replaces instances gradually.
	RollingUpdateAppStrategy AppStrategyType = "RollingUpdate"
	// RecreateAppStrategy terminates all old instances before it creates new ones.
	RecreateAppStrategy AppStrategyType = "Recreate"
)

// AppStrategy describes how instances of a new version replace old ones.
type AppStrategy struct {
	// type of the strategy: RollingUpdate replaces instances gradually; Recreate terminates all
	// old instances before it creates new ones. Defaults to RollingUpdate.
	// +optional
	// +default="RollingUpdate"
	// +k8s:optional
	Type AppStrategyType `json:"type,omitempty" protobuf:"bytes,1,opt,name=type,casttype=AppStrategyType"`

	// rollingUpdate describes how many instances are replaced at a time. Only allowed with type
	// RollingUpdate.
	// +optional
	RollingUpdate *RollingUpdateApp `json:"rollingUpdate,omitempty" protobuf:"bytes,2,opt,name=rollingUpdate"`
}

// RollingUpdateApp describes how many instances are replaced at a time.
type RollingUpdateApp struct {
	// maxUnavailable is the maximum number of instances that may be unavailable during the
	// update: an absolute number, or a percentage of replicas, rounded down. Defaults to 25%.
	// Must not be 0 if maxSurge is 0.
	// +optional
	// +k8s:opaqueType
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty" protobuf:"bytes,1,opt,name=maxUnavailable"`

	// maxSurge is the maximum number of instances above replicas during the update: an absolute
	// number, or a percentage of replicas, rounded up. Defaults to 25%. Must not be 0 if
	// maxUnavailable is 0.
	// +optional
	// +k8s:opaqueType
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty" protobuf:"bytes,2,opt,name=maxSurge"`
}

const (
	// AppConditionAvailable indicates whether at least as many instances are available as the
	// strategy requires.
	AppConditionAvailable = "Available"
	// AppConditionProgressing indicates whether the rollout of the newest version makes progress
	// or is complete.
	AppConditionProgressing = "Progressing"
	// AppConditionReplicaFailure indicates that instances cannot be created or deleted, with the
	// reason.
	AppConditionReplicaFailure = "ReplicaFailure"
	// AppConditionReady indicates whether all desired instances have the newest version and are
	// available, and no others are left.
	AppConditionReady = "Ready"
	// AppConditionReconciling indicates whether the controllers are bringing the app to that
	// state.
	AppConditionReconciling = "Reconciling"
	// AppConditionStalled indicates whether a change is required before the app can become
	// ready: the progress deadline was exceeded, or instances or releases cannot be created.
	AppConditionStalled = "Stalled"
)

// AppStatus is the observed state of an app.
type AppStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status observed.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// replicas is the number of instances of all versions.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	Replicas int32 `json:"replicas,omitempty" protobuf:"varint,2,opt,name=replicas"`

	// updatedReplicas is the number of instances of the newest version.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	UpdatedReplicas int32 `json:"updatedReplicas,omitempty" protobuf:"varint,3,opt,name=updatedReplicas"`

	// readyReplicas is the number of ready instances of all versions.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ReadyReplicas int32 `json:"readyReplicas,omitempty" protobuf:"varint,4,opt,name=readyReplicas"`

	// availableReplicas is the number of instances that have been ready for at least
	// minReadySeconds.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	AvailableReplicas int32 `json:"availableReplicas,omitempty" protobuf:"varint,5,opt,name=availableReplicas"`

	// unavailableReplicas is the number of instances that are missing or not available yet.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	UnavailableReplicas int32 `json:"unavailableReplicas,omitempty" protobuf:"varint,6,opt,name=unavailableReplicas"`

	// collisionCount is the number of collisions of a template's hash with that of another
	// release. The next hash includes it.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	CollisionCount *int32 `json:"collisionCount,omitempty" protobuf:"varint,7,opt,name=collisionCount"`

	// lastProgressTime is the time at which the rollout last made progress.
	// progressDeadlineSeconds is counted from it.
	// +optional
	// +k8s:opaqueType
	LastProgressTime *metav1.Time `json:"lastProgressTime,omitempty" protobuf:"bytes,8,opt,name=lastProgressTime"`

	// conditions describe the app's state: Ready, Reconciling and Stalled, for which tools wait;
	// Available, Progressing and ReplicaFailure.
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
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,9,rep,name=conditions"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AppList is a list of apps.
type AppList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of apps.
	Items []App `json:"items" protobuf:"bytes,2,rep,name=items"`
}
