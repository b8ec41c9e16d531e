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

// Package host authorizes requests of hosts' agents.
//
// Part of stage 2 of the request's path (see ARCHITECTURE.md). Both modes call it after
// system:masters and the health paths, and before roles: its denial is final, whatever roles a host
// has. pkg/admission/plugin/hostrestriction checks what the URL of a request does not contain,
// first of all the body of a create. Read hosts.Authorize in authorizer.go.
package host
