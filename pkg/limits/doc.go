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

// Package limits bounds what clients may use of the process: connections, with a reserve of
// file descriptors for etcd and the log, requests that run long, and the time in which a
// request must arrive.
//
// It surrounds the request's path (see ARCHITECTURE.md): connections before stage 1, watches after
// stage 2. pkg/server calls Apply. Read Connections.Accept, Connections.Wrap and Watches.Wrap.
package limits
