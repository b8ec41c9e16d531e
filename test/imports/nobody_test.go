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

package imports

// Packages that only the named rooms may import, whatever a room lists.
var nobody = []struct {
	packages string
	but      string
	why      string
}{
	{"go.etcd.io/etcd/server/v3/...", "pkg/storage/embedded(/snapshot)?", "etcd's server belongs to pkg/storage/embedded"},
	{"go.etcd.io/etcd/etcdutl/v3/...", "pkg/storage/embedded/snapshot", "etcd's offline tools belong to pkg/storage/embedded/snapshot"},
	{"go.etcd.io/bbolt/...", "pkg/storage/embedded(/snapshot)?", "etcd's database belongs to pkg/storage/embedded"},
	{"pkg/delegation", "pkg/server(/options)?|cmd/.*|test/.*", "only pkg/server delegates to a cluster"},
	{"pkg/server/...", "pkg/server|cmd/.*|test/.*", "pkg/server joins the packages, so only cmd imports it"},
	{"pkg/apis/<group>/fuzzer", "test/.*", "fuzzers are for tests"},
	{"pkg/files/filestest", "test/.*", "helpers of tests are for tests"},
	{"k8s.io/kubernetes/...", "", "the product is not built on k8s.io/kubernetes"},
	{"k8s.io/client-go/kubernetes/fake", "test/.*", "fakes are for tests"},
	{"k8s.io/client-go/testing", "pkg/generated/clientset/versioned/.*fake", "fakes are for tests"},
}
