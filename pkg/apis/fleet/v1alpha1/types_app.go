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

// App is a number of like instances that are kept running, and brought from one version to
// the next without an outage. The app controller makes a Release of each version.
type App struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says what is to run, how many times, and how a new version takes over.
	// +required
	Spec AppSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is what the app controller last saw. Written through the status subresource only.
	// +optional
	Status AppStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// AppSpec is what is wanted of an app.
type AppSpec struct {
	// replicas is how many instances shall run; 1 where nothing is said, 0 stops the app.
	// +optional
	// +default=1
	// +k8s:optional
	// +k8s:minimum=0
	Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`

	// selector chooses the app's instances by their labels. It must match the labels of the
	// template, must not be empty, and never changes.
	// +required
	// +k8s:opaqueType
	Selector *metav1.LabelSelector `json:"selector" protobuf:"bytes,2,opt,name=selector"`

	// template is what each instance is made of. A change of it makes a new release.
	// +required
	Template InstanceTemplateSpec `json:"template" protobuf:"bytes,3,opt,name=template"`

	// strategy says how instances of a new version take the place of old ones.
	// +optional
	// +patchStrategy=retainKeys
	Strategy AppStrategy `json:"strategy,omitempty" patchStrategy:"retainKeys" protobuf:"bytes,4,opt,name=strategy"`

	// minReadySeconds is for how long a new instance must have been ready before it counts as
	// available, in seconds; 0 where nothing is said.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty" protobuf:"varint,5,opt,name=minReadySeconds"`

	// revisionHistoryLimit is how many old releases are kept to go back to; 10 where nothing
	// is said.
	// +optional
	// +default=10
	// +k8s:optional
	// +k8s:minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty" protobuf:"varint,6,opt,name=revisionHistoryLimit"`

	// progressDeadlineSeconds is how long a rollout may go without progress before the
	// condition Progressing becomes False with reason ProgressDeadlineExceeded, in seconds; 600
	// where nothing is said. Must be greater than minReadySeconds. Paused time does not count.
	// +optional
	// +default=600
	// +k8s:optional
	// +k8s:minimum=1
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty" protobuf:"varint,7,opt,name=progressDeadlineSeconds"`

	// paused keeps changes of the template from being rolled out; scaling goes on.
	// +optional
	Paused bool `json:"paused,omitempty" protobuf:"varint,8,opt,name=paused"`
}

// InstanceTemplateSpec is what instances are made of.
type InstanceTemplateSpec struct {
	// metadata of the instances: labels and annotations. The labels must be matched by the
	// selector.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec of the instances, without hostName. The restartPolicy must be Always, because
	// ended instances are replaced, and activeDeadlineSeconds absent.
	// +required
	Spec InstanceSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`
}

// AppStrategyType names a way to replace instances.
// +enum
// +k8s:enum
type AppStrategyType string

const (
	// RollingUpdateAppStrategy replaces instances bit by bit.
	RollingUpdateAppStrategy AppStrategyType = "RollingUpdate"
	// RecreateAppStrategy ends all old instances before it makes new ones.
	RecreateAppStrategy AppStrategyType = "Recreate"
)

// AppStrategy says how instances of a new version take the place of old ones.
type AppStrategy struct {
	// type is RollingUpdate (default), which replaces instances bit by bit, or Recreate, which
	// ends all old ones before it makes new ones.
	// +optional
	// +default="RollingUpdate"
	// +k8s:optional
	Type AppStrategyType `json:"type,omitempty" protobuf:"bytes,1,opt,name=type,casttype=AppStrategyType"`

	// rollingUpdate says how many instances are replaced at a time. Only with type RollingUpdate.
	// +optional
	RollingUpdate *RollingUpdateApp `json:"rollingUpdate,omitempty" protobuf:"bytes,2,opt,name=rollingUpdate"`
}

// RollingUpdateApp says how many instances are replaced at a time.
type RollingUpdateApp struct {
	// maxUnavailable is how many instances may be missing from replicas during the update: a
	// number, or a percentage of replicas, rounded down; 25% where nothing is said. Not 0 when
	// maxSurge is 0.
	// +optional
	// +k8s:opaqueType
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty" protobuf:"bytes,1,opt,name=maxUnavailable"`

	// maxSurge is how many instances more than replicas there may be during the update: a
	// number, or a percentage of replicas, rounded up; 25% where nothing is said. Not 0 when
	// maxUnavailable is 0.
	// +optional
	// +k8s:opaqueType
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty" protobuf:"bytes,2,opt,name=maxSurge"`
}

const (
	// AppConditionAvailable says whether at least as many instances are available as the
	// strategy asks for.
	AppConditionAvailable = "Available"
	// AppConditionProgressing says whether the newest version takes over, or has.
	AppConditionProgressing = "Progressing"
	// AppConditionReplicaFailure says that instances cannot be created or deleted, and why.
	AppConditionReplicaFailure = "ReplicaFailure"
	// AppConditionReady says whether all wanted instances are of the newest version and available,
	// and no others are left.
	AppConditionReady = "Ready"
	// AppConditionReconciling says whether the controllers are bringing the app there.
	AppConditionReconciling = "Reconciling"
	// AppConditionStalled says whether something must be changed first: the progress deadline has
	// passed, or instances or releases cannot be created.
	AppConditionStalled = "Stalled"
)

// AppStatus is what is known of an app.
type AppStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status had seen.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// replicas is how many instances there are, of all versions.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	Replicas int32 `json:"replicas,omitempty" protobuf:"varint,2,opt,name=replicas"`

	// updatedReplicas is how many instances there are of the newest version.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	UpdatedReplicas int32 `json:"updatedReplicas,omitempty" protobuf:"varint,3,opt,name=updatedReplicas"`

	// readyReplicas is how many instances are ready, of all versions.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ReadyReplicas int32 `json:"readyReplicas,omitempty" protobuf:"varint,4,opt,name=readyReplicas"`

	// availableReplicas is how many instances have been ready for minReadySeconds.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	AvailableReplicas int32 `json:"availableReplicas,omitempty" protobuf:"varint,5,opt,name=availableReplicas"`

	// unavailableReplicas is how many instances are missing or not available yet.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	UnavailableReplicas int32 `json:"unavailableReplicas,omitempty" protobuf:"varint,6,opt,name=unavailableReplicas"`

	// collisionCount counts how often the hash of a template was taken by another release. It
	// goes into the next hash.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	CollisionCount *int32 `json:"collisionCount,omitempty" protobuf:"varint,7,opt,name=collisionCount"`

	// lastProgressTime is when the rollout last came forward. progressDeadlineSeconds counts
	// from here.
	// +optional
	// +k8s:opaqueType
	LastProgressTime *metav1.Time `json:"lastProgressTime,omitempty" protobuf:"bytes,8,opt,name=lastProgressTime"`

	// conditions tell the app's state: Ready, Reconciling and Stalled, which tools wait for;
	// Available, Progressing, ReplicaFailure.
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

	// items are the apps.
	Items []App `json:"items" protobuf:"bytes,2,rep,name=items"`
}
