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

package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/flowcontrol"
)

// pages are the names of the objects that the server below lists. The name of an object decides about its update.
var pages = [][]string{{"stored-1", "same-1", "stale"}, {"gone", "old", "refused", "stored-2"}}

// serve lists config maps in two pages, and answers patches of them.
func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	status := func(code int, reason metav1.StatusReason) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
	}
	object := func(name, version string) string {
		return fmt.Sprintf(`{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":%q,"namespace":"a","uid":"u-%s","resourceVersion":%q}}`, name, name, version)
	}
	if r.Method == http.MethodGet {
		at, next := 0, "second"
		if r.URL.Query().Get("continue") == next {
			at, next = 1, ""
		}
		var items []string
		for _, name := range pages[at] {
			items = append(items, object(name, "5"))
		}
		fmt.Fprintf(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"9","continue":%q},"items":[%s]}`, next, strings.Join(items, ","))
		return
	}
	name := path.Base(r.URL.Path)
	body, _ := io.ReadAll(r.Body)
	var patch map[string]map[string]string
	if err := json.Unmarshal(body, &patch); err != nil || len(patch) != 1 || patch["metadata"]["uid"] != "u-"+name || patch["metadata"]["resourceVersion"] != "5" {
		status(http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	switch prefix, _, _ := strings.Cut(name, "-"); prefix {
	case "stored":
		_, _ = io.WriteString(w, object(name, "10"))
	case "same":
		_, _ = io.WriteString(w, object(name, "5"))
	case "stale":
		status(http.StatusConflict, metav1.StatusReasonConflict)
	case "gone":
		status(http.StatusNotFound, metav1.StatusReasonNotFound)
	default:
		status(http.StatusForbidden, metav1.StatusReasonForbidden)
	}
}

func TestEachObjectIsCountedByWhatBecomesOfIt(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(serve))
	defer server.Close()
	client, err := metadata.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	var ends []int
	r := &Rewriter{
		Client: client, Limiter: flowcontrol.NewFakeAlwaysRateLimiter(), Manager: "test",
		Due: func(object *metav1.PartialObjectMetadata) bool { return object.Name != "old" },
		Page: func(total, _ Tally, _ *metav1.PartialObjectMetadataList) error {
			ends = append(ends, total.Done())
			return nil
		},
	}
	configMaps := corev1.SchemeGroupVersion.WithResource("configmaps")
	total, err := r.Resource(t.Context(), configMaps)
	if err != nil || total.Rewritten != 2 || total.Current != 1 || total.Changed != 2 || total.Skipped != 1 || len(total.Failed) != 1 || !strings.Contains(total.Failed[0].Error(), "a/refused") {
		t.Errorf("got %+v, %v", total, err)
	}
	if fmt.Sprint(ends) != "[3 6]" {
		t.Errorf("after the pages, %v objects were done", ends)
	}
	stop := errors.New("stop")
	r.Page = func(Tally, Tally, *metav1.PartialObjectMetadataList) error { return stop }
	if total, err := r.Resource(t.Context(), configMaps); !errors.Is(err, stop) || total.Done() != 3 {
		t.Errorf("an error after the first page: %v, %+v", err, total)
	}
}

func TestARewriteEndsWithTheFirstObjectsThatNoServerAnswersFor(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	client := fake.NewSimpleMetadataClient(scheme)
	var tried atomic.Int32
	client.PrependReactor("patch", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		tried.Add(1)
		return true, nil, syscall.ECONNREFUSED
	})
	r := &Rewriter{Client: client, Limiter: flowcontrol.NewFakeAlwaysRateLimiter(), Manager: "test", retries: &wait.Backoff{Steps: 1}}
	_, err := r.page(context.WithoutCancel(t.Context()), client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}), make([]metav1.PartialObjectMetadata, 1000))
	if err == nil || !strings.Contains(err.Error(), "the server does not answer: start it and run the command again") {
		t.Errorf("the error is %v", err)
	}
	if n := tried.Load(); n > 10*writers {
		t.Errorf("%d requests were made", n)
	}
}
