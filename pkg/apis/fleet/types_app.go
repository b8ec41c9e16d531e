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
	// RollingUpdateAppStrategy replaces instances gradually.
	RollingUpdateAppStrategy AppStrategyType = "RollingUpdate"
	// RecreateAppStrategy terminates all old instances before it creates new ones.
	RecreateAppStrategy AppStrategyType = "Recreate"
)

// AppStrategy is how instances of a new version replace old ones.
type AppStrategy struct {
	Type          AppStrategyType
	RollingUpdate *RollingUpdateApp
}

// RollingUpdateApp is how many instances are replaced at a time.
type RollingUpdateApp struct {
	MaxUnavailable *intstr.IntOrString
	MaxSurge       *intstr.IntOrString
}

const (
	// AppConditionAvailable reports whether at least as many instances are available as the
	// strategy asks for.
	AppConditionAvailable = "Available"
	// AppConditionProgressing reports whether the newest version takes over, or has.
	AppConditionProgressing = "Progressing"
	// AppConditionReplicaFailure reports that instances cannot be created or deleted, and why.
	AppConditionReplicaFailure = "ReplicaFailure"
	// AppConditionReady reports whether all wanted instances are of the newest version and available,
	// and no others are left.
	AppConditionReady = "Ready"
	// AppConditionReconciling reports whether the controllers are bringing the app there.
	AppConditionReconciling = "Reconciling"
	// AppConditionStalled reports whether something must be changed first: the progress deadline has
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
	// ReleaseConditionReplicaFailure reports that instances cannot be created or deleted, and why.
	ReleaseConditionReplicaFailure = "ReplicaFailure"
	// ReleaseConditionReady reports whether all wanted instances are available, and no others are left.
	ReleaseConditionReady = "Ready"
	// ReleaseConditionReconciling reports whether the controller is bringing the release there.
	ReleaseConditionReconciling = "Reconciling"
	// ReleaseConditionStalled reports whether something must be changed first: instances cannot be
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
