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

// Package hostrestriction checks the bodies of writes by hosts.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md), in both modes: the other half
// of pkg/authorization/host, which does not see bodies. It changes nothing. Read Validate.
//
// A host may set any label on itself, with one exception: of the domain gatehouse.dev and
// its subdomains, it may set only host.gatehouse.dev and subdomains of that. So a host can
// never set host-restriction.gatehouse.dev: operators can select hosts by
// such a label without trusting what hosts report about themselves.
package hostrestriction
