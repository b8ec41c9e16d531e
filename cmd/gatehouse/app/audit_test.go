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
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
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

// onlyOperations fails if an event is of a read that succeeded, or of a write of a status.
func onlyOperations(t *testing.T, events []auditv1.Event) {
	t.Helper()
	for _, event := range events {
		if event.ResponseStatus.Code < http.StatusBadRequest && (event.Verb == "list" || event.Verb == "watch" || event.Verb == "get") {
			t.Errorf("the log has a read: %+v", event)
		}
		if event.ObjectRef != nil && event.ObjectRef.Subresource == "status" {
			t.Errorf("the log has a write of a status: %+v", event)
		}
	}
}

// The log of gatehouse up --audit has who did what as whom, and refusals with the gate that refused.
func TestTheAuditOfOperationsHasWhoDidWhatAsWhomAndWhatWasRefused(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.OperationsAudit = true })
	admin := kubernetes.NewForConfigOrDie(server.Config)
	jane := rest.CopyConfig(server.Config)
	jane.Impersonate = rest.ImpersonationConfig{UserName: "jane"}
	if _, err := kubernetes.NewForConfigOrDie(jane).CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("jane reads secrets: %v", err)
	}
	if _, err := admin.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "audited"}, StringData: map[string]string{"password": "hunter2"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoordinationV1().Leases("default").Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "unaudited"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the server has written the status of a flow schema", func(ctx context.Context) bool {
		schema, err := admin.FlowcontrolV1().FlowSchemas().Get(ctx, "global-default", metav1.GetOptions{})
		return err == nil && len(schema.Status.Conditions) > 0
	})
	guess := rest.AnonymousClientConfig(server.Config)
	guess.BearerToken = "guess"
	if _, err := kubernetes.NewForConfigOrDie(guess).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Fatalf("a guessed token: %v", err)
	}
	path := filepath.Join(server.DataDir, "audit", "audit.log")
	events := func() (all []auditv1.Event) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			event := auditv1.Event{}
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, event)
		}
		return all
	}
	for what, is := range map[string]func(auditv1.Event) bool{
		"a write": func(e auditv1.Event) bool {
			return e.Verb == "create" && e.ObjectRef != nil && e.ObjectRef.Name == "audited" && e.User.Username == "gatehouse-admin" && e.RequestObject == nil
		},
		"a refusal of an impersonated user": func(e auditv1.Event) bool {
			return e.User.Username == "gatehouse-admin" && e.ImpersonatedUser != nil && e.ImpersonatedUser.Username == "jane" &&
				e.ResponseStatus.Code == http.StatusForbidden && e.Annotations[apiserver.GateAnnotation] == "authorization"
		},
		"a request without valid credentials": func(e auditv1.Event) bool {
			return e.ResponseStatus.Code == http.StatusUnauthorized && e.Annotations[apiserver.GateAnnotation] == "authentication"
		},
	} {
		kit.Eventually(t, what+" is in the log", func(context.Context) bool { return slices.ContainsFunc(events(), is) })
	}
	onlyOperations(t, events())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"hunter2", "unaudited", "guess\""} {
		if strings.Contains(string(data), absent) {
			t.Errorf("the log has %s in it", absent)
		}
	}
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v (%v), want %v", name, info.Mode(), err, mode)
		}
	}
}

// The server goes on if the audit log cannot be written, and counts the events that are lost.
func TestAFullDiskOfTheAuditLogIsCountedAndStopsNothing(t *testing.T) {
	const full = "/dev/full" // every write to it fails with ENOSPC
	if _, err := os.Stat(full); err != nil {
		t.Skipf("the system has no %s", full)
	}
	server := servertesting.Start(t, func(o *options.Options) { o.Audit.LogOptions.Path = full })
	lost := func() float64 {
		return metrics.Scrape(t, server.Config).Sum("apiserver_audit_error_total", metrics.Labels{"plugin": "log"})
	}
	before := lost()
	if _, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("a write: %v", err)
	}
	if after := lost(); after <= before {
		t.Errorf("%v events are lost, after %v", after, before)
	}
}
