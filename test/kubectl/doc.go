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

// Package kubectl runs real kubectl against the API: every verb that a user types, with the exact
// output, exit code and error that the user gets. It does not depend on how the server
// runs, so that the same scenes pass on a standalone server and through a kube-apiserver.
//
// The tests in test/integration/kubectl and test/e2e call Run. Read Run for the list of scenes; each
// creates its own objects, with its own names and label, and deletes them.
package kubectl
