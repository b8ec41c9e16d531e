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

// WatchSource is where the events of a watch come from.
// +enum
type WatchSource string

const (
	// WatchSourceIndex is the index of a watch cache: the watch costs nothing for other events.
	WatchSourceIndex WatchSource = "Index"
	// WatchSourceCache is a watch cache, which compares each event with the selectors.
	WatchSourceCache WatchSource = "WatchCache"
	// WatchSourceStorage is etcd.
	WatchSourceStorage WatchSource = "Storage"
	// WatchSourceMemory is the memory of the server, for kinds that are not stored.
	WatchSourceMemory WatchSource = "Memory"
)

// WatchState is whether a watch is open.
// +enum
type WatchState string

const (
	// WatchOpen means that the server serves the watch.
	WatchOpen WatchState = "Open"
	// WatchEnded means that the watch has ended.
	WatchEnded WatchState = "Ended"
)

// WatchEndReason is why a watch ended.
// +enum
type WatchEndReason string

const (
	// WatchEndClientClosed means that the client or its connection ended.
	WatchEndClientClosed WatchEndReason = "ClientClosed"
	// WatchEndClientBlocked means that the connection ended while the client did not take a write.
	WatchEndClientBlocked WatchEndReason = "ClientBlocked"
	// WatchEndTimeout means that the time of the watch was over.
	WatchEndTimeout WatchEndReason = "Timeout"
	// WatchEndTooSlow means that the watch cache ended the watch, because its buffer was full.
	WatchEndTooSlow WatchEndReason = "TooSlow"
	// WatchEndTerminated means that the source of the events ended the watch for another reason.
	WatchEndTerminated WatchEndReason = "Terminated"
	// WatchEndError means that the server sent an event of type ERROR.
	WatchEndError WatchEndReason = "Error"
	// WatchEndServerShutdown means that the server stopped.
	WatchEndServerShutdown WatchEndReason = "ServerShutdown"
	// WatchEndExpired means that the longest time of a watch, or the credentials of its user, came to an end.
	WatchEndExpired WatchEndReason = "Expired"
	// WatchEndIdentityRevoked means that the credentials of the user were not accepted any more.
	WatchEndIdentityRevoked WatchEndReason = "IdentityRevoked"
	// WatchEndAccessRevoked means that the user had no right to the watch any more.
	WatchEndAccessRevoked WatchEndReason = "AccessRevoked"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WatchSession is a watch that a server serves: its user, what it watches, what was sent, and since when
// its client does not read. A server keeps the open watches and the latest that have ended in memory, and
// forgets them when it stops; each server has its own.
type WatchSession struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The server makes the name.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// server is the identity of the server that serves the watch.
	Server string `json:"server" protobuf:"bytes,2,opt,name=server"`

	// auditID is the Audit-ID of the request that opened the watch, which is also the name of its
	// RequestTrace.
	// +optional
	AuditID string `json:"auditID,omitempty" protobuf:"bytes,3,opt,name=auditID"`

	// user is the user of the watch, and its client.
	User WatchUser `json:"user" protobuf:"bytes,4,opt,name=user"`

	// request is what the user watches.
	Request WatchedRequest `json:"request" protobuf:"bytes,5,opt,name=request"`

	// servedFrom is where the events come from: Index (the index of a watch cache, which costs nothing for
	// events that do not match), WatchCache (each event of the resource is compared with the selectors),
	// Storage (etcd), or Memory (a kind that is not stored).
	ServedFrom WatchSource `json:"servedFrom" protobuf:"bytes,6,opt,name=servedFrom,casttype=WatchSource"`

	// startTime is the time at which the watch began.
	StartTime metav1.MicroTime `json:"startTime" protobuf:"bytes,7,opt,name=startTime"`

	// state is Open or Ended.
	State WatchState `json:"state" protobuf:"bytes,8,opt,name=state,casttype=WatchState"`

	// events is the number of events that were written to the client, with bookmarks. The server sends
	// several events of a compressed watch at once, and counts these batches. It cannot count those of a
	// watch over a WebSocket.
	Events int64 `json:"events" protobuf:"varint,9,opt,name=events"`

	// bytes is the size of what was written to the client, before encryption.
	Bytes int64 `json:"bytes" protobuf:"varint,10,opt,name=bytes"`

	// compressed is true if the server compresses the events.
	// +optional
	Compressed bool `json:"compressed,omitempty" protobuf:"varint,11,opt,name=compressed"`

	// lastWriteTime is the end of the last write to the client. A watch without events has none but its
	// bookmarks, about one a minute.
	// +optional
	LastWriteTime *metav1.MicroTime `json:"lastWriteTime,omitempty" protobuf:"bytes,12,opt,name=lastWriteTime"`

	// blockedSince is the start of a write that the client has not taken for a second or longer: the
	// client does not read, or the network is slow. It is absent otherwise.
	// +optional
	BlockedSince *metav1.MicroTime `json:"blockedSince,omitempty" protobuf:"bytes,13,opt,name=blockedSince"`

	// longestBlocked is the duration of the longest write that has ended; absent below a second.
	// +optional
	LongestBlocked *metav1.Duration `json:"longestBlocked,omitempty" protobuf:"bytes,14,opt,name=longestBlocked"`

	// end is how the watch ended; absent while it is open.
	// +optional
	End *WatchEnd `json:"end,omitempty" protobuf:"bytes,15,opt,name=end"`
}

// WatchUser is the user of a watch, and its client.
type WatchUser struct {
	// username is the name of the user. After an impersonation, it is that of the impersonated user.
	// Behind a kube-apiserver, it is the user of the kube-apiserver's client.
	// +optional
	Username string `json:"username,omitempty" protobuf:"bytes,1,opt,name=username"`

	// uid is the UID of the user, if the authenticator knows one.
	// +optional
	UID string `json:"uid,omitempty" protobuf:"bytes,2,opt,name=uid"`

	// userAgent is the program that the client named.
	// +optional
	UserAgent string `json:"userAgent,omitempty" protobuf:"bytes,3,opt,name=userAgent"`

	// sourceIP is the address of the connection. Behind a kube-apiserver or a proxy, it is theirs.
	// +optional
	SourceIP string `json:"sourceIP,omitempty" protobuf:"bytes,4,opt,name=sourceIP"`
}

// WatchedRequest is what a watch asked for.
type WatchedRequest struct {
	// apiGroup is the group of the resource; empty for the core group.
	// +optional
	APIGroup string `json:"apiGroup,omitempty" protobuf:"bytes,1,opt,name=apiGroup"`

	// apiVersion is the version of the group.
	// +optional
	APIVersion string `json:"apiVersion,omitempty" protobuf:"bytes,2,opt,name=apiVersion"`

	// resource is the resource.
	Resource string `json:"resource" protobuf:"bytes,3,opt,name=resource"`

	// namespace is the namespace; empty for all namespaces, and for resources that have none.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,4,opt,name=namespace"`

	// name is the name of the object; empty for a collection.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,5,opt,name=name"`

	// labelSelector is the label selector of the request.
	// +optional
	LabelSelector string `json:"labelSelector,omitempty" protobuf:"bytes,6,opt,name=labelSelector"`

	// fieldSelector is the field selector of the request.
	// +optional
	FieldSelector string `json:"fieldSelector,omitempty" protobuf:"bytes,7,opt,name=fieldSelector"`

	// resourceVersion is the resource version at which the request began; empty if it named none.
	// +optional
	ResourceVersion string `json:"resourceVersion,omitempty" protobuf:"bytes,8,opt,name=resourceVersion"`

	// initialEvents is true if the watch began with the objects that existed.
	// +optional
	InitialEvents bool `json:"initialEvents,omitempty" protobuf:"varint,9,opt,name=initialEvents"`
}

// WatchEnd is how a watch ended.
type WatchEnd struct {
	// reason is ClientClosed (the client or its connection ended), ClientBlocked (the connection ended while
	// the client did not take a write), Timeout (the time of the watch was over), TooSlow (the watch
	// cache ended the watch, because its buffer was full), Terminated (the source of the events
	// ended it for another reason), Error (the server sent an event of type ERROR), ServerShutdown, Expired
	// (the longest time of a watch, or the credentials of the user, came to an end), IdentityRevoked (the
	// credentials were not accepted any more) or AccessRevoked (the user had no right any more).
	Reason WatchEndReason `json:"reason" protobuf:"bytes,1,opt,name=reason,casttype=WatchEndReason"`

	// time is the time at which the watch ended.
	Time metav1.MicroTime `json:"time" protobuf:"bytes,2,opt,name=time"`

	// duration is the time for which the watch was open.
	Duration metav1.Duration `json:"duration" protobuf:"bytes,3,opt,name=duration"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WatchSessionList is a list of watch sessions, the oldest first.
type WatchSessionList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of watch sessions.
	Items []WatchSession `json:"items" protobuf:"bytes,2,rep,name=items"`
}
