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

// Package manager describes all controllers, constructs the selected ones with their shared
// informers, and runs them, with leader election if only one replica may run them.
//
// Stage 6 of the request's path (see ARCHITECTURE.md). cmd/gatehouse/app calls it, in the server
// and for `gatehouse controllers`. Roles, manifests and flow schemas are derived from its
// descriptors, so a new controller is added to Standalone or Fleet and nowhere else. Read
// Descriptor, then newTerm.
package manager
