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

// Package chaos disturbs the controllers in every way that it can think of, and then looks
// whether everything comes to rest as it should. Read TestEverythingComesToRestAfterChaos.
//
// A seed decides what is done to whom and in which order, and which request of a client goes
// wrong and how. It does not decide how fast the goroutines of a run are: a run with the same
// seed is disturbed alike, and need not go alike.
package chaos
