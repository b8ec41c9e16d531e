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

// Package rbac authorizes requests by roles and bindings.
//
// Part of stage 2 of the request's path (see ARCHITECTURE.md), in the standalone mode.
// pkg/authorization calls it last, and pkg/registry/rbac calls Escalation before it stores a role or
// a binding. Read Authorizer.Authorize first, then index: it maps each subject to its bindings, so
// that a decision costs with the bindings of the user and not with all bindings.
//
// Decisions equal those of Kubernetes; test/upstream compares both.
package rbac
