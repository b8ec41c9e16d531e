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

// Package embedded runs etcd inside this process, with no TCP port: clients reach it over a unix
// socket in a directory that only its owner may enter. It is the only importer of etcd's server.
//
// Stop 5 of the request's path (see ARCHITECTURE.md). The command's run.go calls this room, and
// nobody else does: it takes the lock (AcquireLock), starts etcd (Start), hands Endpoints to
// pkg/storage, watches Err, and when the API server has drained it closes etcd and releases the
// lock, in this order. Read Start first, then directory.go for what is refused before etcd sees
// the directory, and problem.go for the sentences.
//
// etcd was written to own its process. It waits forever for a locked database and ends the
// process when it finds a damaged one. Hence the lock of our own, the look at the directory
// ahead of etcd's, and the logger that turns Fatal and Panic into an error of Start or Err.
package embedded
