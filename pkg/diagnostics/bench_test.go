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

package diagnostics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func BenchmarkRecorder(b *testing.B) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		record.Enter(Limits)
		if record != nil {
			record.setTarget(&request.RequestInfo{IsResourceRequest: true, Verb: "get", APIGroup: "fleet.gatehouse.dev", Resource: "instances", Namespace: "shop", Name: "web"})
			record.Enter(Authentication)
			Asked(r.Context(), "client-certificate", true, nil)
			record.authenticatedAs(&authenticator.Response{User: &user.DefaultInfo{Name: "bob"}}, true, r)
			record.Enter(FlowControl)
			record.Add(Stop{Gate: FlowControl, By: "global-default"})
			record.Enter(Authorization)
			record.Add(Stop{Gate: Authorization, By: "rbac"})
		}
		record.Enter(Limits)
		record.Enter(Storage)
		w.WriteHeader(http.StatusOK)
	}
	plugins := make([]string, 20)
	for i := range plugins {
		plugins[i] = fmt.Sprint("Plugin", i)
	}
	write := func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		for _, plugin := range plugins {
			record.Running(plugin)
			record.Add(Stop{Gate: ValidatingAdmission, By: plugin})
		}
		handler(w, r)
	}
	for _, row := range []struct {
		name    string
		mode    Mode
		handler http.HandlerFunc
	}{{"off", Off, handler}, {"read", All, handler}, {"write", All, write}} {
		b.Run(row.name, func(b *testing.B) {
			wrapped := newTestRecorder(row.mode).Wrap(row.handler)
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header.Set("Audit-ID", "7f9e3c7a-0000-4000-8000-000000000000")
			answer := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				wrapped.ServeHTTP(answer, req)
			}
		})
	}
}
