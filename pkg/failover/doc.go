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

// Package failover lets a client know several servers of one API, and use another one when its server fails.
//
// A kubeconfig has the list (see Read). Servers.Apply puts a Balancer below the client: it sends each request to
// the server in use, and to the next one if that cannot be reached. Verification of certificates stays that of the
// client, for each server by the host in its own URL. client-go alone has one URL; kubectl ignores the list.
//
// Read balancer.go first, then transport.go.
package failover
