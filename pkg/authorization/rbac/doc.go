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

// Package rbac answers from roles and bindings whether the caller may.
//
// Stop 2 of the request's path (see ARCHITECTURE.md). pkg/authorization makes it the last
// voice of the standalone mode, and pkg/registry/rbac asks it whether somebody hands out
// more than he holds. Read Authorizer.Authorize first, then index: the index turns bindings
// around, from "this binding names these subjects" into "this subject has these bindings",
// so that a decision costs with the caller's bindings and not with everybody's.
//
// What is decided is what Kubernetes decides; test/upstream asks both the same questions.
package rbac
