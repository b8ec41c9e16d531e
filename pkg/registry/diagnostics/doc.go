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

// Package diagnostics serves the kinds of diagnostics.gatehouse.dev from memory: nothing is stored in
// etcd. It reads from interfaces, and pkg/apiserver joins it with pkg/diagnostics and pkg/watches.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). pkg/apiserver calls StorageProvider when it builds
// the groups. Read virtual/rest.go first, then requestreview/rest.go.
package diagnostics
