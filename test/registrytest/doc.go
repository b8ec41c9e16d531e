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

// Package registrytest tests the contract that every installed resource must keep. It
// walks a group's storage map on a real etcd, so that a new kind with an omission fails without
// a new test.
//
// Stages 4 and 5 of the request's path (see ARCHITECTURE.md). Only tests import it: the
// contract test of a group calls Contract with a table of its resources, and the
// storage tests of each resource call StartEtcd. Read Contract first.
package registrytest
