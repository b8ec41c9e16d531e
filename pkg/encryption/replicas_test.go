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
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
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
