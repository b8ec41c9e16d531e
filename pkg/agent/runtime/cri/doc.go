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

// Package cri runs the instances of a host in a container runtime that has the Container Runtime
// Interface, such as containerd or CRI-O.
//
// The runtime keeps the state: sandboxes and containers have the host and the instance as labels, so
// a new process of the agent adopts them (observe.go). Operations run in the background and are
// repeated until the runtime shows their effect: start.go starts containers, stop.go stops and
// removes them, pull.go pulls images. config.go translates an instance. At most one goroutine
// starts containers of one instance, and nothing starts while the state of the sandbox is unknown.
//
// Read Runtime.apply in observe.go, then Runtime.work in start.go.
package cri
