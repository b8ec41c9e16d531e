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

// Package streaming serves the containers of a host to the server: their logs, commands in them, and
// their ports. The agent serves its handler on the tunnel that it opens to the server (package
// tunnel), which has authenticated and authorized the user and sends one of five fixed routes:
//
//	GET      /v1/instances/{namespace}/{name}/{uid}/{container}/log
//	GET|POST /v1/instances/{namespace}/{name}/{uid}/{container}/exec
//	GET|POST /v1/instances/{namespace}/{name}/{uid}/{container}/attach
//	GET|POST /v1/instances/{namespace}/{name}/{uid}/portforward
//
// The parameters of a log are those of the log of a pod, and those of exec and attach those of a kubelet:
// input, output, error and tty with the value 1, and command. Read New.
package streaming
