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

// Package clients runs the programs and libraries that users point at a Gatehouse server: the
// clients of Kubernetes for JavaScript and Python, kubectl, kustomize, kubeconform, and the files of
// artifacts/tools for Argo CD, k9s and kapp; and kubectl logs in at an OpenID Connect provider for
// Node.js. Helm has a separate module in a subdirectory. The
// server is the program that `make build` builds.
//
// A client that is not installed skips its test with a message on how to install it. If
// GATEHOUSE_CLIENTS is "all", as in .ci/run, the test fails.
package clients
