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

// Package agent is the agent of a host: it registers the Host, renews its HostLease, watches the
// instances that are bound to it, runs them in a runtime, and reports their status.
//
// Stage 6 of the request path (see ARCHITECTURE.md): an agent is a client with a separate identity,
// and needs only the rights of the host authorizer and HostRestriction. Simulated hosts
// (package simulation) run this agent on the runtime in runtime/simulated, as the hollow nodes of
// kubemark run a real kubelet on a fake runtime.
//
// The decisions are pure functions: read instanceState.decide in reconcile.go, then
// instanceState.status in status.go. controller.go carries them out; registration.go, heartbeat.go
// and mirror.go connect the agent to the server.
package agent
