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

// Package storage configures the API server's etcd client: the prefix, the media type, the
// endpoints and their TLS files, checksums of values, and the errors of a full database. It does
// not run an etcd: pkg/storage/embedded does.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). cmd/gatehouse/app calls it once at start,
// with the endpoints of an external etcd or with those of the embedded one. Read Connect first,
// then InProcess, by which storages call an embedded etcd's functions. inprocess.go rebuilds
// three functions of k8s.io/apiserver from the library's exported parts; mirrored_test.go pins
// them, and suites_test.go runs the library's own suites for storages on the result.
package storage
