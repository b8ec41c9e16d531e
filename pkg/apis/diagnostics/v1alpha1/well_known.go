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

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// GroupName is the API group of this package.
const GroupName = diagnostics.GroupName

// RequestTraces is the resource of request traces.
const RequestTraces = "requesttraces"

// RequestReviews is the resource of reviews.
const RequestReviews = "requestreviews"

// VerbReviewAll is the verb on reviews that permits to review the requests of other users. Without it
// create is about the user's own requests.
const VerbReviewAll = "reviewall"

// WatchSessions is the resource of watch sessions.
const WatchSessions = "watchsessions"

// StorageMembers is the resource of the members of etcd.
const StorageMembers = "storagemembers"

// VerbReadAll is the verb on request traces and watch sessions that permits to read those of others.
// Without it get, list and watch are about the user's own, whatever other rights the user has.
const VerbReadAll = "readall"

// CauseServer is the type of the cause of a NotFound error that has, as its message, the identity of the
// server that has no such trace: each server has its own.
const CauseServer metav1.CauseType = "Server"
