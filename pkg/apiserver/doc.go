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

// Package apiserver assembles stages 3 to 5 of the request's path (see ARCHITECTURE.md) on a
// k8s.io/apiserver: the scheme, the storages of every group that is served, OpenAPI,
// discovery and flow control. It is independent of where etcd runs and of the authenticators.
//
// cmd/gatehouse/app fills in a Config, completes it and calls New. Read CompletedConfig.New.
package apiserver
