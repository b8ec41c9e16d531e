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

// Package preflight asks a cluster, before and while it is relied upon, whether the
// server may do there what it needs to: each permission is probed by discovery and a
// SelfSubjectAccessReview, and what is missing is named with its verb, its resource, what
// does not work without it, and the cure.
//
// Stops 1 to 3 of the request's path (see ARCHITECTURE.md) lean on it in the aggregated
// mode. cmd/gatehouse/app makes a Checker of what each stop needs. Read Checker.Check.
package preflight
