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

// Package fleet holds the hub (internal) types of fleet.gatehouse.dev: what the registry,
// admission and validation work on, whatever version a client uses. The versioned types document
// the fields.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The codec converts to and from these
// types; pkg/registry/fleet stores them. Read types.go, then validation/instance.go.
//
// +k8s:deepcopy-gen=package
// +groupName=fleet.gatehouse.dev
package fleet
