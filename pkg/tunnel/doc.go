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

// Package tunnel connects the server to the agents of hosts, which it cannot dial: they are behind
// networks that let no connection in.
//
// The agent opens a connection of its own to the server, POST hosts/NAME/tunnel with the upgrade
// Protocol, and then the roles turn: the agent is the HTTP/2 server on that connection, and the server
// its client. Each CONNECT request is a stream that both ends use as a connection (net.Conn), on which
// the agent serves HTTP/1.1 with its handler. So Kubernetes' own handlers for logs, exec and port
// forwarding work on it unchanged.
//
// The server sends requests and the agent responds, never the other way round. Read Registry for the
// end of the server, and Serve for that of the agent.
package tunnel
