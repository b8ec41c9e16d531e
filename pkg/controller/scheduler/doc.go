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

// Package scheduler binds instances to hosts.
//
// Stop 6 of the request's path (see ARCHITECTURE.md): a client like any other. cmd/gatehouse/app
// runs it. One loop decides, one instance after the other in the order in which they came, on a
// picture of the hosts that every watch event and every decision changes a little; many binders
// carry decisions out at the same time. Read state.next, then cache.place.
//
// What is decided counts at once, as an assumption, so that two quick decisions cannot give the
// same room twice. An instance for which there is no room waits with those that want the same,
// and is looked at again when a change of a host makes room for one of them.
package scheduler
