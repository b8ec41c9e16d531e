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

// Package peers connects the servers of one API: the one that a user asks reaches a host through the
// one that holds the host's tunnel.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). Each server makes a key and a certificate when
// it starts, which are in its memory only, and keeps its address and the certificate in etcd while it
// runs: see Directory. A server trusts exactly the certificates that are there, both of the servers that
// it asks and of those that ask it. So no key of an authority is shared, and a peer is a process that
// can write to this etcd.
//
// Read Peers.Dial for the server that is asked, and Peers.Wrap for the one that holds the tunnel. The first
// authenticates, authorizes, admits and audits the request of the user; nothing of the user's identity
// is sent. The second passes bytes to its own tunnel and never to a third server.
package peers
