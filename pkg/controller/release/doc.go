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

// Package release keeps the number of instances of a release at spec.replicas.
//
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. pkg/controller/manager
// runs it. Read sync in controller.go, then Plan. The rules are those for replica sets
// (k8s.io/kubernetes pkg/controller/replicaset); test/upstream compares the two.
//
// # Never more than wanted
//
// Informer caches are stale. A controller that counts again before its cache shows the instances
// that it just created would create them twice, so three things delay the next change:
// Expectations, until every created or deleted instance has been observed; freshness, until the
// informer has reached the resource version of the last write; and the informers' first lists,
// before which nothing is written at all, so that a restart loses nothing.
package release
