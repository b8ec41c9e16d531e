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

package diagnostics

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StorageRole is the part of a member in its cluster.
type StorageRole string

const (
	// StorageLeader is the member that orders the writes.
	StorageLeader StorageRole = "Leader"
	// StorageFollower is a voter that is not the leader.
	StorageFollower StorageRole = "Follower"
	// StorageLearner is a member without a vote.
	StorageLearner StorageRole = "Learner"
)

// StorageHealth is whether a member works.
type StorageHealth string

const (
	// StorageHealthy means that the member responds, has a leader and has no alarm.
	StorageHealthy StorageHealth = "Healthy"
	// StorageUnhealthy means that the member responds, and reports an error.
	StorageUnhealthy StorageHealth = "Unhealthy"
	// StorageUnreachable means that the member does not respond.
	StorageUnreachable StorageHealth = "Unreachable"
)

// StorageAlarm is an alarm of etcd.
type StorageAlarm string

const (
	// StorageAlarmNoSpace means that the database has reached its quota.
	StorageAlarmNoSpace StorageAlarm = "NOSPACE"
	// StorageAlarmCorrupt means that the data of the member differ from those of other members.
	StorageAlarmCorrupt StorageAlarm = "CORRUPT"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageMember is a member of the etcd in which a server stores its objects.
type StorageMember struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	MemberName       string
	Role             StorageRole
	Health           StorageHealth
	Error            string
	Alarms           []StorageAlarm
	LastSeenTime     *metav1.MicroTime
	RoundTrip        *metav1.Duration
	RaftIndex        int64
	RaftTerm         int64
	Behind           *int64
	Fsync            *StorageFsync
	FsyncUnavailable string
	DBSizeBytes      int64
	DBSizeInUseBytes int64
	QuotaBytes       int64
	Version          string
	ClientURLs       []string
	PeerURLs         []string
	Cluster          StorageCluster
}

// StorageFsync is how long a member took to write its log to the disk.
type StorageFsync struct {
	P99    metav1.Duration
	Count  int64
	Window *metav1.Duration
}

// StorageCluster is how many members a cluster has, and how many of them may fail.
type StorageCluster struct {
	ID            string
	Voters        int32
	HealthyVoters int32
	Quorum        int32
	MayFail       int32
	Quorate       bool
	Message       string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageMemberList is a list of the members of etcd, by name.
type StorageMemberList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []StorageMember
}
