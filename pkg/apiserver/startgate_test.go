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

package apiserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/healthz"
)

func TestTheStartGate(t *testing.T) {
	_, codecs := NewFleetScheme()
	failing := healthz.NamedCheck("failing", func(*http.Request) error { return errors.New("not read yet") })
	passing := healthz.NamedCheck("passing", func(*http.Request) error { return nil })
	for name, test := range map[string]struct {
		checks []healthz.HealthChecker
		path   string
		token  string
		want   int
	}{
		"a request before anything is known of the start is refused":       {nil, "/api/v1/secrets", "", http.StatusServiceUnavailable},
		"a request is refused while one check of two fails":                {[]healthz.HealthChecker{passing, failing}, "/api/v1/secrets", "", http.StatusServiceUnavailable},
		"discovery is refused while a check fails":                         {[]healthz.HealthChecker{failing}, "/apis", "", http.StatusServiceUnavailable},
		"a single health check, which roles decide about, is refused":      {[]healthz.HealthChecker{failing}, "/readyz/etcd", "", http.StatusServiceUnavailable},
		"a path that begins like a health check's is refused":              {[]healthz.HealthChecker{failing}, "/readyzz", "", http.StatusServiceUnavailable},
		"a token that is not the loopback client's is refused":             {[]healthz.HealthChecker{failing}, "/api/v1/secrets", "loop", http.StatusServiceUnavailable},
		"/readyz is answered while a check fails":                          {[]healthz.HealthChecker{failing}, "/readyz", "", http.StatusOK},
		"/livez is answered while a check fails":                           {[]healthz.HealthChecker{failing}, "/livez", "", http.StatusOK},
		"the loopback client is answered while a check fails":              {[]healthz.HealthChecker{failing}, "/api/v1/secrets", "loopback", http.StatusOK},
		"a request is answered once all checks have passed":                {[]healthz.HealthChecker{passing, passing}, "/api/v1/secrets", "", http.StatusOK},
		"a request without a token is no request of the loopback client's": {[]healthz.HealthChecker{failing}, "/api/v1/secrets", "", http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			gate := &startGate{serializer: codecs, healthPaths: []string{"/livez", "/readyz"}, loopbackToken: "loopback", checks: test.checks}
			request := httptest.NewRequest(http.MethodGet, test.path, nil)
			if test.token != "" {
				request.Header.Set("Authorization", "Bearer "+test.token)
			}
			response := httptest.NewRecorder()
			gate.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(response, request)
			if response.Code != test.want {
				t.Fatalf("answered with %d, want %d: %s", response.Code, test.want, response.Body)
			}
			if test.want == http.StatusOK {
				return
			}
			var status metav1.Status
			if err := json.Unmarshal(response.Body.Bytes(), &status); err != nil {
				t.Fatal(err)
			}
			if status.Reason != metav1.StatusReasonServiceUnavailable || response.Header().Get("Retry-After") != "1" {
				t.Errorf("answered with reason %q and Retry-After %q, want %q and 1", status.Reason, response.Header().Get("Retry-After"), metav1.StatusReasonServiceUnavailable)
			}
		})
	}
}

func TestTheStartGateStaysOpen(t *testing.T) {
	_, codecs := NewFleetScheme()
	var err error
	gate := &startGate{serializer: codecs, checks: []healthz.HealthChecker{healthz.NamedCheck("check", func(*http.Request) error { return err })}}
	request := httptest.NewRequest(http.MethodGet, "/apis", nil)
	if !gate.ready(request) {
		t.Fatal("the gate is closed although its check passes")
	}
	err = errors.New("fails later")
	if !gate.ready(request) {
		t.Error("the gate closes again when a check fails later, which only /readyz must report")
	}
}
