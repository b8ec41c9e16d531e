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

package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// An audit log without a policy is not empty: it has users and requests, and never a body.
func TestAnAuditLogWithoutAPolicyHasEveryRequestButHealthChecks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	server := servertesting.Start(t, func(o *options.Options) { o.Audit.LogOptions.Path = path })
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	send(http.MethodGet, "/readyz", "")
	send(http.MethodPost, "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"audited"},"stringData":{"password":"hunter2"}}`)
	var found *auditv1.Event
	kit.Eventually(t, "the request is in the log", func(context.Context) bool {
		data, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(data)) {
			event := &auditv1.Event{}
			if json.Unmarshal([]byte(line), event) == nil && event.ObjectRef != nil && event.ObjectRef.Name == "audited" {
				found = event
			}
		}
		return found != nil
	})
	if found.Level != auditv1.LevelMetadata || found.Stage != auditv1.StageResponseComplete || found.User.Username != "gatehouse-admin" || found.RequestObject != nil {
		t.Errorf("the log has %+v", found)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"hunter2", "/readyz", "RequestReceived"} {
		if strings.Contains(string(data), absent) {
			t.Errorf("the log has %s in it", absent)
		}
	}
	if left, err := filepath.Glob(filepath.Join(server.DataDir, "audit-policy*")); err != nil || len(left) != 0 {
		t.Errorf("left in the data directory: %v, %v", left, err)
	}
}
