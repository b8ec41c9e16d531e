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

package encryption

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/flowcontrol"
)

func TestAUserWithoutTheRightToReadTheMetricsDoesNotWait(t *testing.T) {
	for _, test := range []struct {
		name   string
		reason metav1.StatusReason
		code   int
		want   string
	}{
		{"the right is missing", metav1.StatusReasonForbidden, http.StatusForbidden, "grant the verb get of the nonResourceURL /metrics"},
		{"the credentials are refused", metav1.StatusReasonUnauthorized, http.StatusUnauthorized, "does not accept the credentials of the kubeconfig: name another one with --kubeconfig"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.code)
				_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusFailure, Reason: test.reason, Code: int32(test.code)})
			}))
			defer server.Close()
			all, err := replicas(&rest.Config{Host: server.URL}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var notes strings.Builder
			if err := waitLoaded(t.Context(), all, &File{Hash: "x"}, time.Hour, &notes); err == nil || !strings.Contains(err.Error(), test.want) || notes.String() != "" {
				t.Errorf("the error is %v, notes %q", err, notes.String())
			}
		})
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
	r := &rewriter{client: client, limiter: flowcontrol.NewFakeAlwaysRateLimiter(), notes: io.Discard, retries: wait.Backoff{Steps: 1}}
	_, err := r.page(context.WithoutCancel(t.Context()), client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}), make([]metav1.PartialObjectMetadata, 1000))
	if err == nil || !strings.Contains(err.Error(), "the server does not answer: start it and run the command again") {
		t.Errorf("the error is %v", err)
	}
	if n := tried.Load(); n > 10*writers {
		t.Errorf("%d requests were made", n)
	}
}
