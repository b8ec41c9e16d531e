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

// Package delegation delegates authentication, authorization and the objects of admission to the
// cluster that a server of the aggregated mode serves: its client, the cluster's trust, the
// permissions that the server needs there, and their preflight.
//
// Stages 1 to 3 of the request's path (see ARCHITECTURE.md). cmd/gatehouse/app makes one
// Delegation. Read New, Delegation.Apply and Delegation.Run.
package delegation
