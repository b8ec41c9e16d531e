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

package fleet

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// RevisionAnnotation is on a release the number of the app's revision that it is, and on an
	// app the number of the newest one. It counts up from 1.
	RevisionAnnotation = GroupName + "/revision"
	// RevisionHistoryAnnotation is on a release the earlier numbers of the same template, after
	// the app came back to it; separated by commas.
	RevisionHistoryAnnotation = GroupName + "/revision-history"
	// DesiredReplicasAnnotation is on a release the number of replicas that its app wanted when
	// the release was last scaled.
	DesiredReplicasAnnotation = GroupName + "/desired-replicas"
	// MaxReplicasAnnotation is on a release the most replicas that its app might have had,
	// surge and all, when the release was last scaled.
	MaxReplicasAnnotation = GroupName + "/max-replicas"
	// TemplateHashLabel is on releases and their instances the hash of the template: it keeps
	// the releases of one app from choosing each other's instances.
	TemplateHashLabel = GroupName + "/template-hash"
	// DeletionCostAnnotation is on an instance how dear its deletion is, a whole number: where
	// a release has too many, the cheaper ones go first. 0 where nothing is said.
	DeletionCostAnnotation = GroupName + "/deletion-cost"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// App is a number of like instances that are kept running, and brought from one version to
// the next without an outage. The app controller makes a Release of each version.
type App struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   AppSpec
	Status AppStatus
}

// AppSpec is what is wanted of an app.
type AppSpec struct {
	Replicas                *int32
	Selector                *metav1.LabelSelector
	Template                InstanceTemplateSpec
	Strategy                AppStrategy
	MinReadySeconds         int32
	RevisionHistoryLimit    *int32
	ProgressDeadlineSeconds *int32
	Paused                  bool
}

// InstanceTemplateSpec is what instances are made of.
type InstanceTemplateSpec struct {
	metav1.ObjectMeta
	Spec InstanceSpec
}

// AppStrategyType names a way to replace instances.
type AppStrategyType string

const (
	// RollingUpdateAppStrategy replaces instances bit by bit.
	RollingUpdateAppStrategy AppStrategyType = "RollingUpdate"
	// RecreateAppStrategy ends all old instances before it makes new ones.
	RecreateAppStrategy AppStrategyType = "Recreate"
)

// AppStrategy says how instances of a new version take the place of old ones.
type AppStrategy struct {
	Type          AppStrategyType
	RollingUpdate *RollingUpdateApp
}

// RollingUpdateApp says how many instances are replaced at a time.
type RollingUpdateApp struct {
	MaxUnavailable *intstr.IntOrString
	MaxSurge       *intstr.IntOrString
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
	ObservedGeneration  int64
	Replicas            int32
	UpdatedReplicas     int32
	ReadyReplicas       int32
	AvailableReplicas   int32
	UnavailableReplicas int32
	CollisionCount      *int32
	LastProgressTime    *metav1.Time
	Conditions          []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AppList is a list of apps.
type AppList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []App
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AppRollback takes an app back to an earlier revision. It is created at the rollback
// subresource of the app.
type AppRollback struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	ToRevision int64
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Release is one version of an app, with the number of instances of it that shall run. The
// release controller makes and deletes instances until there are as many. Its revision is in
// the annotation fleet.gatehouse.dev/revision.
type Release struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   ReleaseSpec
	Status ReleaseStatus
}

// ReleaseSpec is what is wanted of a release.
type ReleaseSpec struct {
	Replicas        *int32
	MinReadySeconds int32
	Selector        *metav1.LabelSelector
	Template        InstanceTemplateSpec
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
	ObservedGeneration int64
	Replicas           int32
	ReadyReplicas      int32
	AvailableReplicas  int32
	Conditions         []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ReleaseList is a list of releases.
type ReleaseList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Release
}
