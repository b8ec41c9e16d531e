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

package memory

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-base/metrics/legacyregistry"
)

func TestTheLowestLimitOfTheControlGroupsCounts(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text + "\n")} }
	for _, test := range []struct {
		name  string
		files fstest.MapFS
		want  int64
		found bool
	}{
		{name: "a system without control groups has no limit", files: fstest.MapFS{}},
		{name: "version 2 with a limit", files: fstest.MapFS{"proc/self/cgroup": file("0::/a/b"), "sys/fs/cgroup/a/b/memory.max": file("1000")}, want: 1000, found: true},
		{name: "version 2 without a limit", files: fstest.MapFS{"proc/self/cgroup": file("0::/a"), "sys/fs/cgroup/a/memory.max": file("max")}},
		{name: "a limit of a group above", files: fstest.MapFS{"proc/self/cgroup": file("0::/a/b"), "sys/fs/cgroup/a/b/memory.max": file("max"), "sys/fs/cgroup/a/memory.max": file("500")}, want: 500, found: true},
		{name: "the lower of two", files: fstest.MapFS{"proc/self/cgroup": file("0::/a/b"), "sys/fs/cgroup/a/b/memory.max": file("400"), "sys/fs/cgroup/a/memory.max": file("500")}, want: 400, found: true},
		{name: "a container that sees only its own group", files: fstest.MapFS{"proc/self/cgroup": file("0::/docker/0123"), "sys/fs/cgroup/memory.max": file("700")}, want: 700, found: true},
		{name: "version 1 with a limit", files: fstest.MapFS{"proc/self/cgroup": file("5:cpu,memory:/a\n0::/"), "sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("300")}, want: 300, found: true},
		{name: "version 1 without a limit", files: fstest.MapFS{"proc/self/cgroup": file("5:memory:/a"), "sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("9223372036854771712")}},
		{name: "another controller's file is not read", files: fstest.MapFS{"proc/self/cgroup": file("5:cpuset:/a"), "sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("300")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, found := CgroupLimit(test.files)
			if found != test.found || found && got != test.want {
				t.Errorf("limit %d, %v; want %d, %v", got, found, test.want, test.found)
			}
		})
	}
}

func TestABudgetReservesTheRestOfTheLimit(t *testing.T) {
	used := int64(300)
	b := NewBudget(800, func() int64 { return used }) // 700 of it can be reserved, 200 at once
	first, ok := b.Reserve(200)
	if !ok {
		t.Fatal("200 of 400 are refused")
	}
	second, ok := b.Reserve(10_000)
	if !ok {
		t.Fatal("a request reserves more than its largest share, and could never be accepted")
	}
	if _, ok := b.Reserve(1); ok {
		t.Error("more is reserved than is left")
	}
	first()
	first() // a second call has no effect
	if _, ok := b.Reserve(201); !ok {
		t.Error("released bytes are not reserved again")
	}
	second()
	used = 700
	if _, ok := b.Reserve(1); ok {
		t.Error("bytes are reserved while the process uses the whole limit")
	}
}

func TestLiveIsNotZero(t *testing.T) {
	if got := Live(); got <= 0 {
		t.Errorf("the process uses %d bytes", got)
	}
}

func TestOnlyExpensiveRequestsAreRefused(t *testing.T) {
	scheme := runtime.NewScheme()
	scheme.AddUnversionedTypes(schema.GroupVersion{Version: "v1"}, &metav1.Status{})
	codecs := serializer.NewCodecFactory(scheme)
	sizes := func(resource schema.GroupResource) (int64, int64) {
		if resource.Resource == "many" {
			return 1_000_000, 1000
		}
		return 10, 1000
	}
	for _, test := range []struct {
		name         string
		verb, method string
		path         string
		body         string
		unknown      bool
		nonResource  bool
		code         int
	}{
		{name: "a list of much", verb: "list", path: "/many", code: 429},
		{name: "a list of much in pages", verb: "list", path: "/many?limit=500", code: 200},
		{name: "a list of much in one page", verb: "list", path: "/many?limit=1000000", code: 429},
		{name: "a list of little", verb: "list", path: "/few", code: 200},
		{name: "a list of one", verb: "list", path: "/many?fieldSelector=metadata.name%3Da", code: 200},
		{name: "a watch", verb: "watch", path: "/many", code: 200},
		{name: "a get", verb: "get", path: "/many", code: 200},
		{name: "a create with a large body", verb: "create", method: http.MethodPost, path: "/few", body: strings.Repeat("x", 1<<20), code: 429},
		{name: "a patch with a large body", verb: "patch", method: http.MethodPatch, path: "/few", body: strings.Repeat("x", 1<<20), code: 429},
		{name: "an update with a large body", verb: "update", method: http.MethodPut, path: "/few", body: strings.Repeat("x", 1<<20), code: 429},
		{name: "a create with a body of unknown length", verb: "create", method: http.MethodPost, path: "/few", body: "x", unknown: true, code: 429},
		{name: "a create with a small body", verb: "create", method: http.MethodPost, path: "/few", body: "{}", code: 200},
		{name: "a delete", verb: "delete", method: http.MethodDelete, path: "/many", body: "{}", code: 200},
		{name: "a health check", verb: "get", path: "/readyz", nonResource: true, code: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			budget := NewBudget(1<<30, func() int64 { return 1 << 30 }) // nothing is left
			handler := WithBudget(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), budget, sizes, 3<<20, codecs)
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader(test.body))
			if test.unknown {
				r.ContentLength = -1
			}
			info := &request.RequestInfo{IsResourceRequest: !test.nonResource, Verb: test.verb, APIVersion: "v1", Resource: strings.Trim(r.URL.Path, "/")}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r.WithContext(request.WithRequestInfo(r.Context(), info)))
			if w.Code != test.code {
				t.Errorf("answered with code %d, not %d: %s", w.Code, test.code, w.Body)
			}
			if test.code == 429 && w.Header().Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			enough := NewBudget(1<<40, func() int64 { return 0 })
			w = httptest.NewRecorder()
			WithBudget(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), enough, sizes, 3<<20, codecs).ServeHTTP(w, r.WithContext(request.WithRequestInfo(r.Context(), info)))
			if w.Code != 200 {
				t.Errorf("with enough memory answered with code %d", w.Code)
			}
		})
	}
}

func TestTheMetricsExistWithoutALimit(t *testing.T) {
	(&Options{Limit: "0"}).Budget(fstest.MapFS{})
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "gatehouse_memory_limit_bytes" && len(family.GetMetric()) == 1 {
			return
		}
	}
	t.Error("there is no gatehouse_memory_limit_bytes")
}
