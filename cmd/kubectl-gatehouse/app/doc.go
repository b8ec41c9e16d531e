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

// Package app is kubectl gatehouse: what kubectl knows of Deployments and Nodes, for Apps and
// Hosts. It is a client as kubectl is, and what it may do is what its user may. plugin.go holds
// the command, connect.go how it reaches the server, write.go what objects are printed as, and
// complete.go what shells are offered. What is decided is decided by pure functions: progressOf
// and buildTree of what is shown, createAppCommand.build, setImages, setEnvCommand.change and
// changeTaints of what is sent. Read those first.
package app
