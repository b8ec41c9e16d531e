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

// Package hosttaints keeps instances off a new host until its agent reports that it is ready.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md), in both modes. A host that
// registers itself gets the taint of hosts that are not ready, and the host lifecycle
// controller takes it off when the host's condition Ready is True. Without the taint the
// scheduler would fill a host before its agent runs. Read Admit.
package hosttaints
