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

// StorageRole is the part of a member in its cluster.
// +enum
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
// +enum
type StorageHealth string

const (
	// StorageHealthy means that the member responds, has a leader and has no alarm.
	StorageHealthy StorageHealth = "Healthy"
	// StorageUnhealthy means that the member responds, and reports an error: see error.
	StorageUnhealthy StorageHealth = "Unhealthy"
	// StorageUnreachable means that the member does not respond: see error.
	StorageUnreachable StorageHealth = "Unreachable"
)

// StorageAlarm is an alarm of etcd.
// +enum
type StorageAlarm string

const (
	// StorageAlarmNoSpace means that the database has reached its quota, so that writes are refused.
	StorageAlarmNoSpace StorageAlarm = "NOSPACE"
	// StorageAlarmCorrupt means that the data of the member differ from those of other members.
	StorageAlarmCorrupt StorageAlarm = "CORRUPT"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageMember is a member of the etcd in which a server stores its objects, as the server observes it.
// The server asks each member every second while a client reads or watches members, and every fifteen
// seconds otherwise. The name is the ID of the member in hexadecimal digits, as etcdctl prints it.
type StorageMember struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is the ID of the member.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// memberName is the name that the operator gave the member; empty until a new member has started.
	// +optional
	MemberName string `json:"memberName,omitempty" protobuf:"bytes,2,opt,name=memberName"`

	// role is the part of the member in its cluster. A voter that does not respond is a Follower, unless
	// the other members still regard it as the leader.
	Role StorageRole `json:"role" protobuf:"bytes,3,opt,name=role,casttype=StorageRole"`

	// health is whether the member works.
	Health StorageHealth `json:"health" protobuf:"bytes,4,opt,name=health,casttype=StorageHealth"`

	// error is why the member is not healthy.
	// +optional
	Error string `json:"error,omitempty" protobuf:"bytes,5,opt,name=error"`

	// alarms are the alarms of the member.
	// +optional
	// +listType=atomic
	Alarms []StorageAlarm `json:"alarms,omitempty" protobuf:"bytes,6,rep,name=alarms,casttype=StorageAlarm"`

	// lastSeenTime is the time of the last response; absent if this server has never had one.
	// +optional
	LastSeenTime *metav1.MicroTime `json:"lastSeenTime,omitempty" protobuf:"bytes,7,opt,name=lastSeenTime"`

	// roundTrip is the time that the last response took. It is that of a function call if the member runs
	// in the server.
	// +optional
	RoundTrip *metav1.Duration `json:"roundTrip,omitempty" protobuf:"bytes,8,opt,name=roundTrip"`

	// raftIndex is the last entry of the log that was committed, in the last response.
	// +optional
	RaftIndex int64 `json:"raftIndex,omitempty" protobuf:"varint,9,opt,name=raftIndex"`

	// raftTerm is the number of the election, in the last response.
	// +optional
	RaftTerm int64 `json:"raftTerm,omitempty" protobuf:"varint,10,opt,name=raftTerm"`

	// behind is the number of entries by which raftIndex is behind that of the leader. For a member that
	// does not respond, raftIndex is that of its last response. Members are not asked at exactly the same
	// time, so a few entries mean nothing. Absent while there is no leader, and if the member has never
	// responded.
	// +optional
	Behind *int64 `json:"behind,omitempty" protobuf:"varint,11,opt,name=behind"`

	// fsync is how long the member took to write its log to the disk.
	// +optional
	Fsync *StorageFsync `json:"fsync,omitempty" protobuf:"bytes,12,opt,name=fsync"`

	// fsyncUnavailable is why fsync is absent.
	// +optional
	FsyncUnavailable string `json:"fsyncUnavailable,omitempty" protobuf:"bytes,13,opt,name=fsyncUnavailable"`

	// dbSizeBytes is the size of the file of the database.
	// +optional
	DBSizeBytes int64 `json:"dbSizeBytes,omitempty" protobuf:"varint,14,opt,name=dbSizeBytes"`

	// dbSizeInUseBytes is the part of the file that is in use. A defragmentation frees the rest.
	// +optional
	DBSizeInUseBytes int64 `json:"dbSizeInUseBytes,omitempty" protobuf:"varint,15,opt,name=dbSizeInUseBytes"`

	// quotaBytes is the size of the file at which writes are refused; absent if the member does not report
	// it (etcd before 3.6).
	// +optional
	QuotaBytes int64 `json:"quotaBytes,omitempty" protobuf:"varint,16,opt,name=quotaBytes"`

	// version is the version of etcd.
	// +optional
	Version string `json:"version,omitempty" protobuf:"bytes,17,opt,name=version"`

	// clientURLs are the URLs that the member advertises to clients.
	// +optional
	// +listType=atomic
	ClientURLs []string `json:"clientURLs,omitempty" protobuf:"bytes,18,rep,name=clientURLs"`

	// peerURLs are the URLs that the member advertises to other members.
	// +optional
	// +listType=atomic
	PeerURLs []string `json:"peerURLs,omitempty" protobuf:"bytes,19,rep,name=peerURLs"`

	// cluster is the cluster of the member. It is the same in all members of a list.
	Cluster StorageCluster `json:"cluster" protobuf:"bytes,20,opt,name=cluster"`
}

// StorageFsync is how long a member took to write its log to the disk.
type StorageFsync struct {
	// p99 is the duration within which 99 % of the writes reached the disk, estimated from the histogram
	// etcd_disk_wal_fsync_duration_seconds of etcd, whose last bound is 8.192 s.
	P99 metav1.Duration `json:"p99" protobuf:"bytes,1,opt,name=p99"`

	// count is the number of writes from which p99 is estimated.
	Count int64 `json:"count" protobuf:"varint,2,opt,name=count"`

	// window is the time in which they happened: the time since the previous response, or up to a minute if
	// there was no write since then. Absent for all writes since the start of the member, if there was none
	// in the last minute.
	// +optional
	Window *metav1.Duration `json:"window,omitempty" protobuf:"bytes,3,opt,name=window"`
}

// StorageCluster is how many members a cluster has, and how many of them may fail.
type StorageCluster struct {
	// id is the ID of the cluster in hexadecimal digits.
	// +optional
	ID string `json:"id,omitempty" protobuf:"bytes,1,opt,name=id"`

	// voters is the number of members that vote: all but learners.
	Voters int32 `json:"voters" protobuf:"varint,2,opt,name=voters"`

	// healthyVoters is the number of voters that respond and have a leader. Alarms do not count: a member
	// with a full database still votes.
	HealthyVoters int32 `json:"healthyVoters" protobuf:"varint,3,opt,name=healthyVoters"`

	// quorum is the number of voters that must work for writes.
	Quorum int32 `json:"quorum" protobuf:"varint,4,opt,name=quorum"`

	// mayFail is the number of healthy voters that may fail before writes stop; also 0 if they have
	// stopped.
	MayFail int32 `json:"mayFail" protobuf:"varint,5,opt,name=mayFail"`

	// quorate is true if enough voters are healthy for writes.
	Quorate bool `json:"quorate" protobuf:"varint,6,opt,name=quorate"`

	// message is the same as a sentence, with advice if the number of voters is even.
	Message string `json:"message" protobuf:"bytes,7,opt,name=message"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StorageMemberList is a list of the members of etcd, by name.
type StorageMemberList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of members.
	Items []StorageMember `json:"items" protobuf:"bytes,2,rep,name=items"`
}
