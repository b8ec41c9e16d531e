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

// Package v1alpha1 is the wire form of diagnostics.gatehouse.dev/v1alpha1: what a server has
// observed about its own requests, and what it would say about others. No kind is stored.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The codec calls this package when it
// encodes a response. Each kind has a file types_<kind>.go. Read types_requesttrace.go first.
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.gatehouse.diagnostics.v1alpha1
// +groupName=diagnostics.gatehouse.dev
package v1alpha1
