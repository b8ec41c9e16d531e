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

// Package storage holds what the API server must know about etcd, but does not run one
// itself: the prefix, the media type, the endpoints and their TLS files, and the arithmetic
// of a quorum. Where etcd runs in the same process, InProcess has the storages call it as a function.
//
// Stop 5 of the request's path (see ARCHITECTURE.md). The command's run.go calls this room once
// at start, with the endpoints of an external etcd or with those of the embedded one
// (pkg/storage/embedded); k8s.io/apiserver does the rest. Read Connect first.
package storage
