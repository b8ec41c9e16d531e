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

// TracedQuota is a ResourceQuota that counts what a request creates.
type TracedQuota struct {
	Quota     TracedObject
	Refused   bool
	Resources []QuotaBalance
}

// QuotaBalance is what is left of a resource of a quota.
type QuotaBalance struct {
	Name      string
	Requested string
	Left      string
	Hard      string
}

// TracedSeats are seats of flow control.
type TracedSeats struct {
	Requested int32
	Queued    bool
	InUse     int32
	Waiting   int32
	Holders   []SeatHolder
}

// SeatHolder is a user with running requests.
type SeatHolder struct {
	Username string
	Seats    int32
}

// TracedWrite is a write to an object, from its managedFields.
type TracedWrite struct {
	Manager     string
	Operation   string
	Subresource string
	Time        *metav1.Time
	Username    string
}
