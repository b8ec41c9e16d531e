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

// Package garbagecollector deletes what belongs to objects that are gone.
//
// Stop 6 of the request's path (see ARCHITECTURE.md): a client like any other. cmd/gatehouse/app
// runs it in the standalone mode; a cluster has its own. It knows every object that can be
// deleted by its metadata, and of that only who it is, whose it is and whether it goes.
// controller.go wires it, graph.go answers who belongs to whom, reconcile.go decides,
// execute.go acts. Read sync, then decide.
//
// As in Kubernetes, an object that is created while its owner is orphaning what it owns may
// be overlooked, and is then collected: the two come to this controller by different watches.
package garbagecollector
