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

// Package cluster makes one, three or five embedded etcds one cluster: invitations, joins, and the removal of
// members that are dead.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). pkg/server serves Handler and runs Warden;
// cmd/gatehouse/app calls Join before the etcd of a joiner starts. Read Cluster.Join first.
//
//	token.go        the token of an invitation, and the check of the server by its pin
//	invitations.go  invitations in etcd: a hash, for an hour
//	join.go         the side of the cluster of a join
//	membership.go   invitations and removals; members.go
//	handler.go      the paths below /members
//	warden.go       what the leader does by itself
//	joiner.go       the other side of a join
//	state.go        cluster.json in the data directory
package cluster
