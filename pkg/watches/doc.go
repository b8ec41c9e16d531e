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

// Package watches keeps a record of every watch that a server serves: its user, what it watches, what it has
// received, how long a write to its client has been blocked, and how it ended.
//
// It surrounds the innermost handler of the chain (see ARCHITECTURE.md), after authorization. pkg/apiserver
// calls Registry.Wrap, serves Registry.Metrics, and serves the records as WatchSessions of
// diagnostics.gatehouse.dev. A record is a few hundred bytes and three atomic writes for each write to the
// client; a watch has no goroutine of its own. Read Registry.Wrap and Registry.Since.
package watches
