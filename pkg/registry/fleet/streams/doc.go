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

// Package streams serves what comes from hosts through their tunnels: hosts/tunnel, which an agent
// opens, and instances/log, exec, attach and portforward, which users request.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). The library's handlers of pods do the work: a
// stream of the tunnel is the connection to what is a kubelet there. The server never dials an address,
// and sends the name and the UID of the instance, so that an agent cannot confuse two instances.
package streams
