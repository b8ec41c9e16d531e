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

// Package release keeps as many instances of a release running as it asks for.
//
// Stop 6 of the request's path (see ARCHITECTURE.md): a client like any other. Run by
// cmd/gatehouse/app. Read sync in controller.go, which tells the steps, then Plan. The rules
// are those for replica sets (k8s.io/kubernetes pkg/controller/replicaset); test/upstream
// compares the two.
//
// # Never more than wanted
//
// What an informer shows is late. Somebody who counts again before it shows the instances that
// were just made would make them twice, so after each change three things hold the next one
// back: Expectations, until every instance that was made or deleted has been seen to be so;
// freshness, until the informer has reached the version of the last write; and the informers'
// first lists, before which nothing is done at all, so that a restart forgets nothing that
// matters.
package release
