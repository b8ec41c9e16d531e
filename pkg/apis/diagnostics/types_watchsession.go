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

// WatchSource is where the events of a watch come from.
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
type WatchState string

const (
	// WatchOpen means that the server serves the watch.
	WatchOpen WatchState = "Open"
	// WatchEnded means that the watch has ended.
	WatchEnded WatchState = "Ended"
)

// WatchEndReason is why a watch ended.
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

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WatchSession is a watch that a server serves or has served.
type WatchSession struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Server         string
	AuditID        string
	User           WatchUser
	Request        WatchedRequest
	ServedFrom     WatchSource
	StartTime      metav1.MicroTime
	State          WatchState
	Events         int64
	Bytes          int64
	Compressed     bool
	LastWriteTime  *metav1.MicroTime
	BlockedSince   *metav1.MicroTime
	LongestBlocked *metav1.Duration
	End            *WatchEnd
}

// WatchUser is the user of a watch, with its client.
type WatchUser struct {
	Username  string
	UID       string
	UserAgent string
	SourceIP  string
}

// WatchedRequest is what a watch asked for.
type WatchedRequest struct {
	APIGroup        string
	APIVersion      string
	Resource        string
	Namespace       string
	Name            string
	LabelSelector   string
	FieldSelector   string
	ResourceVersion string
	InitialEvents   bool
}

// WatchEnd is how a watch ended.
type WatchEnd struct {
	Reason   WatchEndReason
	Time     metav1.MicroTime
	Duration metav1.Duration
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WatchSessionList is a list of watch sessions, the oldest first.
type WatchSessionList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []WatchSession
}
