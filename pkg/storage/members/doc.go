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

// Package members observes the members of the etcd of a server: one poller asks each member for its
// status, and the API objects that it makes are the source of the kind StorageMember.
//
// Stage 5 of the request path (see ARCHITECTURE.md). pkg/server starts the poller, and
// pkg/registry/diagnostics/storagemember serves the objects. Read Poller.poll first.
package members
