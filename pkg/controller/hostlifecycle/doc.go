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

// Package hostlifecycle detects hosts that do not renew their leases, taints them, and evicts their
// instances.
//
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. pkg/controller/manager
// runs it. The monitor checks all hosts every few seconds: a host that does not renew its HostLease
// becomes Ready Unknown. All that follows is reconciled host by host: taints, instances that are no
// longer ready, evictions, and instances of hosts that are gone. The order:
//
//	lease not renewed -> Ready Unknown -> taint NoSchedule at once, NoExecute at the eviction rate
//	  -> instances not ready -> tolerationSeconds over -> delete -> host gone: force delete
//
// Read monitor.silent and monitor.conclude, then decide.
package hostlifecycle
