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

// Package simulation plays the agents of hosts that do not exist, for demonstrations, tests
// and load. Nothing really runs on them.
//
// Stop 6 of the request's path (see ARCHITECTURE.md): each host is a client like any other,
// with an identity of its own. It registers its Host, renews its HostLease, holds one watch on
// the instances that are bound to it, and reports on them what an agent would. It does nothing
// but what the authorizer of hosts and HostRestriction let a host do. cmd/gatehouse/app runs it
// for gatehouse simulate-hosts and gatehouse up --simulate-hosts.
//
// machine.go is the container runtime in make-believe and decides what happens when; status.go
// says what of it is reported. Both are pure: read machine.advance, then machine.report. agent.go
// and instances.go wire them to the server.
package simulation
