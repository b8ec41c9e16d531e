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

// TracedQuota is a ResourceQuota that counts what a request creates.
type TracedQuota struct {
	// quota is the ResourceQuota, in the version after the charge.
	Quota TracedObject `json:"quota" protobuf:"bytes,1,opt,name=quota"`

	// refused is true if this quota refused the request.
	// +optional
	Refused bool `json:"refused,omitempty" protobuf:"varint,2,opt,name=refused"`

	// resources are the resources of the quota that the request charges.
	// +optional
	// +listType=atomic
	Resources []QuotaBalance `json:"resources,omitempty" protobuf:"bytes,3,rep,name=resources"`
}

// QuotaBalance is what is left of a resource of a quota.
type QuotaBalance struct {
	// name is the resource in spec.hard of the quota.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// requested is the amount that the request charges.
	Requested string `json:"requested" protobuf:"bytes,2,opt,name=requested"`

	// left is what remains: after the charge of a request that the quota allowed, and without a charge if a
	// quota refused it. It includes the charges of requests of the same moment.
	Left string `json:"left" protobuf:"bytes,3,opt,name=left"`

	// hard is the limit.
	Hard string `json:"hard" protobuf:"bytes,4,opt,name=hard"`
}

// TracedSeats are seats of flow control. All but requested and queued are those of the moment at which
// flow control refused the request.
type TracedSeats struct {
	// requested is the number of seats that the request needs; 0 if flow control does not limit it.
	// +optional
	Requested int32 `json:"requested,omitempty" protobuf:"varint,1,opt,name=requested"`

	// queued is true if the request waited in a queue.
	// +optional
	Queued bool `json:"queued,omitempty" protobuf:"varint,2,opt,name=queued"`

	// inUse is the number of seats of the priority level that running requests had. For a user that has its
	// share of the requests that run, it is the number of all.
	// +optional
	InUse int32 `json:"inUse,omitempty" protobuf:"varint,3,opt,name=inUse"`

	// waiting is the number of requests of the priority level that waited in its queues.
	// +optional
	Waiting int32 `json:"waiting,omitempty" protobuf:"varint,4,opt,name=waiting"`

	// holders are the users with the most of these seats, 5 at most. Only clients that may read all traces
	// get the names of other users.
	// +optional
	// +listType=atomic
	Holders []SeatHolder `json:"holders,omitempty" protobuf:"bytes,5,rep,name=holders"`
}

// SeatHolder is a user with running requests.
type SeatHolder struct {
	// username is the user; empty for other users together.
	// +optional
	Username string `json:"username,omitempty" protobuf:"bytes,1,opt,name=username"`

	// seats is the number of seats.
	Seats int32 `json:"seats" protobuf:"varint,2,opt,name=seats"`
}

// TracedWrite is a write to an object, from its managedFields.
type TracedWrite struct {
	// manager is the field manager, for example kubectl-edit.
	Manager string `json:"manager" protobuf:"bytes,1,opt,name=manager"`

	// operation is Apply or Update.
	// +optional
	Operation string `json:"operation,omitempty" protobuf:"bytes,2,opt,name=operation"`

	// subresource is the subresource of the write; empty for none.
	// +optional
	Subresource string `json:"subresource,omitempty" protobuf:"bytes,3,opt,name=subresource"`

	// time is the time of the write, to the second.
	// +optional
	Time *metav1.Time `json:"time,omitempty" protobuf:"bytes,4,opt,name=time"`

	// username is the user of the write, if its trace is kept.
	// +optional
	Username string `json:"username,omitempty" protobuf:"bytes,5,opt,name=username"`
}
