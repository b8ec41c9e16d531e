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
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. pkg/controller/manager
// runs it. One loop decides about one instance after the other, in order of arrival, on a cache of
// the hosts that watch events and decisions update incrementally; several binders carry out
// decisions concurrently. Read state.next, then cache.place.
//
// A decision counts at once, as an assumption, so that two decisions cannot allocate the same
// resources. An unschedulable instance waits with those of equal requirements, and is retried when
// a change of a host lets one of them fit.
package scheduler
