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

// Package garbagecollector deletes the dependents of owners that are gone.
//
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. pkg/controller/manager
// runs it in standalone mode; a cluster has its own. It watches the metadata of all deletable
// objects, and caches only identity, owners, finalizers and deletion time. controller.go wires it,
// graph.go finds owners and dependents, reconcile.go decides, execute.go acts. Read sync, then
// decide.
//
// As in Kubernetes, an object that is created while its owner orphans its dependents may be
// missed, and is then collected: the two arrive by different watches.
package garbagecollector
