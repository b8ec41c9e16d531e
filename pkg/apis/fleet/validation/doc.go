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

// Package validation holds the rules of fleet.gatehouse.dev that span several fields. Those
// of a single field are +k8s: tags on the versioned types.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The strategies of pkg/registry/fleet
// call it. Every function is pure: objects in, field.ErrorList out; no clock, no client.
// Every ValidateXUpdate repeats the rules of ValidateX for the spec; metadata is checked by
// k8s.io/apiserver's rest.ValidateUpdate, and a second check would report errors twice.
// Read ValidateInstance first.
package validation
