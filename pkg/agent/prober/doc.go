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

// Package prober checks the health of running containers, by the rules of a kubelet: a startup probe
// gates the others, a failed liveness or startup probe asks for a stop, and a readiness probe decides
// whether the container is ready.
//
// Stage 6 of the request path (see ARCHITECTURE.md): the agent gives each running container to
// Prober.Watch and reads Prober.Result before it decides. The rules are those of tracker.record.
package prober
