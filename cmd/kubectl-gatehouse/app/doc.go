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

// Package app is kubectl gatehouse: the commands that kubectl has for Deployments and Nodes, for Apps
// and Hosts. It is a client like kubectl, with the rights of its user. plugin.go holds the command,
// connect.go the connection to the server, write.go the output of objects, and complete.go the shell
// completion. The decisions are pure functions: progressOf and buildTree for what is shown,
// createAppCommand.build, setImages, setEnvCommand.change and changeTaints for what is sent. Read
// those first.
package app
