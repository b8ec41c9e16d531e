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

// Package v1alpha1 is the wire form of fleet.gatehouse.dev/v1alpha1: the types that
// clients read and write, with their defaults and declarative validation.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The codec calls this package when it
// decodes a body (SetObjectDefaults_*, Convert_*), the registry when it validates an object
// (RegisterValidations). Each kind has a file types_<kind>.go; well_known.go holds the names
// that several packages share. Read types_instance.go first.
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/gatehouse-dev/gatehouse/pkg/apis/fleet
// +k8s:defaulter-gen=TypeMeta
// +k8s:validation-gen=TypesWithField=TypeMeta
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.gatehouse.fleet.v1alpha1
// +groupName=fleet.gatehouse.dev
package v1alpha1
