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

// Package core registers the kinds of the core group that the standalone mode serves. The
// hub is the wire type itself, k8s.io/api/core/v1, so there is nothing to convert; what a
// conversion does in Kubernetes happens in the defaults.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The codec calls SetDefaults_* when a
// body, or what etcd holds, is decoded. Read register.go first.
package core
