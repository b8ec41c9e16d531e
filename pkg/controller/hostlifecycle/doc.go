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

// Package hostlifecycle notices hosts that fall silent, keeps instances away from them, and
// has those that are there started elsewhere.
//
// Stop 6 of the request's path (see ARCHITECTURE.md): a client like any other. cmd/gatehouse/app
// runs it. The monitor looks at all hosts every few seconds: a host whose HostLease is not
// renewed becomes Ready Unknown. Whatever follows is done host by host: taints, instances that
// are no longer ready, evictions, and what is left of hosts that are gone. The order:
//
//	lease not renewed -> Ready Unknown -> taint NoSchedule at once, NoExecute when its turn comes
//	  -> instances not ready -> tolerationSeconds over -> delete -> host gone: force delete
//
// Read monitor.silent and monitor.conclude, then decide.
package hostlifecycle
