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

// Package embedded runs one etcd member inside this process, without a TCP port: clients reach it
// over a unix socket in a directory that only its owner may enter. It is the only importer of
// etcd's server.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). Only cmd/gatehouse/app calls it: it takes
// the lock (AcquireLock), starts etcd (Start), passes Endpoints to pkg/storage, watches Err, and
// after the API server has drained closes etcd and releases the lock, in this order. Read Start
// first.
//
//	server.go        the lifecycle of the member: Start, Err, Close
//	directory.go     the checks before etcd opens the directory; lock.go, database.go
//	bootstrap.go     the first start: the cluster's token and members, leftovers of a killed start
//	peers.go         the member's peer address, and its election
//	snapshots.go     the kept part of the log, and compaction
//	space.go         the quota of the database and its alarm
//	problem.go       every failure as one sentence with its cure; logging.go catches etcd's own
//
// etcd is written to own its process. It waits forever for a locked database and ends the
// process when it finds a damaged one. Hence the package's own lock, its check of the directory
// before etcd's, and the logger that turns Fatal and Panic into an error of Start or Err.
package embedded
