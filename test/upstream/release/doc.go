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

// Package release compares Kubernetes' replica set controller with our release controller.
// The cases are those of upstream's own unit tests, rewritten for our kinds. Each has the
// result that upstream's test expects, and also runs through upstream's functions, on converted
// objects. In addition there are random cases, from a seed.
//
// Behaviour that upstream does not export is compared by running the two controllers as a whole, each
// against a client that holds its objects in memory, in the time of a testing/synctest bubble:
// when all goroutines wait, the result is final.
package release
