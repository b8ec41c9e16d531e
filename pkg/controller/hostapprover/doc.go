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

// Package hostapprover approves the first certificate of a host that joins with a token, and the next ones that the
// host requests with a valid one. It denies requests that the token or the certificate is not for. All other
// requests wait for an operator.
//
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. pkg/controller/manager
// runs it in standalone mode; behind a kube-apiserver an operator approves.
//
// Read decide in reconcile.go.
package hostapprover
