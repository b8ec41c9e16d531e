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

// Package host decides what the agents of hosts may.
//
// Part of stop 2 of the request's path (see ARCHITECTURE.md). Both modes ask it after
// system:masters and the health paths, and before those who know roles: its no is final,
// so that no broad role opens a hole. What the URL of a request does not name, first of all
// the body of a create, is for pkg/admission/plugin/hostrestriction. Read Authorize.
package host
