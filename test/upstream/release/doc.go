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

// Package release gives Kubernetes' replica-set controller and our release controller the same
// work. The cases are those of upstream's own unit tests, rewritten for our kinds; each has the
// answer that upstream's test expects, and is put to upstream's functions, too, on converted
// objects. Beside them there are random ones, from a seed.
//
// What upstream does not export is compared by running the two controllers as a whole, each
// against a client that holds its objects in memory, in the time of a testing/synctest bubble:
// when all goroutines wait for something, nothing more will happen.
package release
