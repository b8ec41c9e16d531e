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

// Package chaos disturbs the controllers in many ways, and then checks that the system
// converges. Read TestEverythingComesToRestAfterChaos.
//
// A seed determines the acts, their targets and their order, and which request of a client fails
// and how. It does not determine the scheduling of goroutines: two runs with the same seed have the
// same disturbances, and may still differ.
package chaos
