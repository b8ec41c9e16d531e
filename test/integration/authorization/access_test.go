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

package authorization

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// Paths that are served without credentials, and paths that need authorization.
var (
	healthPaths    = []string{"/livez", "/readyz", "/healthz"}
	protectedPaths = []string{
		"/", "/api", "/apis", "/apis/fleet.gatehouse.dev", harness.FleetPath, harness.HostsPath, harness.InstancesPath, harness.HostsPath + "/edge-1", harness.InstancesPath + "?watch=1",
		"/openapi/v2", "/openapi/v3", "/version", "/metrics", "/debug/pprof/", "/nothing-is-here",
		// The path of a single check returns more than the result of all checks.
		"/livez/etcd", "/readyz/etcd", "/healthz/ping",
	}
)

func TestRequestsWithoutCredentialsGetOnlyHealthAndVersion(t *testing.T) {
	server := servertesting.Start(t)
	stranger, err := certificates.Ensure(t.TempDir(), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	token := rest.AnonymousClientConfig(server.Config)
	token.BearerToken = "guess"
	for who, config := range map[string]*rest.Config{
		"nobody":                         rest.AnonymousClientConfig(server.Config),
		"a token that nobody knows":      token,
		"a certificate of a stranger":    harness.IssueClientFrom(t, stranger.CA, server, "gatehouse-admin", time.Now(), "system:masters"),
		"a certificate that has run out": harness.IssueClientFrom(t, ca, server, "gatehouse-admin", time.Now().Add(-2*time.Hour), "system:masters"),
		"a certificate that is to come":  harness.IssueClientFrom(t, ca, server, "gatehouse-admin", time.Now().Add(24*time.Hour), "system:masters"),
		"the server's own certificate":   servingCertificate(t, server),
	} {
		t.Run(who, func(t *testing.T) {
			client := harness.NewRawClient(t, config)
			for _, path := range protectedPaths {
				if path == "/version" && who == "nobody" {
					continue // see TestRolesDecideWhatAnonymousCallersRead
				}
				harness.WrongRequest{Method: http.MethodGet, Path: path, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"}.Check(t, client)
			}
			harness.WrongRequest{Path: harness.HostsPath, Body: harness.GoodHost, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"}.Check(t, client)
			harness.WrongRequest{Method: http.MethodDelete, Path: harness.HostsPath, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"}.Check(t, client)
			if who != "nobody" {
				return
			}
			for _, path := range healthPaths {
				if answer := client.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusOK || string(answer.Body) != "ok" {
					t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
				}
			}
		})
	}
}

// servingCertificate shows the server its own certificate as if it were a client's.
func servingCertificate(t *testing.T, server *servertesting.Server) *rest.Config {
	t.Helper()
	bundle, err := certificates.Ensure(filepath.Join(server.DataDir, "pki"), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(server.Config)
	config.CertData, config.KeyData = bundle.Serving.CertPEM, bundle.Serving.KeyPEM
	return config
}

func TestARefusalNamesTheUserAndTheMissingRight(t *testing.T) {
	server := servertesting.Start(t)
	admin, alice := harness.NewRawClient(t, server.Config), harness.NewRawClient(t, harness.IssueClient(t, server, "alice", "developers"))
	before := admin.Everything(t)
	for _, row := range []struct{ method, path, body, may string }{
		{http.MethodGet, harness.InstancesPath, "", `cannot list resource "instances" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodGet, harness.InstancesPath + "?watch=1", "", `cannot watch resource "instances" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodGet, harness.FleetPath + "/instances", "", `cannot list resource "instances" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodGet, harness.HostsPath + "/edge-1", "", `cannot get resource "hosts" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodPost, harness.HostsPath, harness.GoodHost, `cannot create resource "hosts" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodPatch, harness.HostsPath + "/edge-1/status", "{}", `cannot patch resource "hosts/status" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodPost, harness.InstancesPath + "/web/binding", "{}", `cannot create resource "instances/binding" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodDelete, harness.InstancesPath, "", `cannot deletecollection resource "instances" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodGet, "/metrics", "", `cannot get path "/metrics"`},
		{http.MethodGet, "/debug/pprof/", "", `cannot get path "/debug/pprof/"`},
		{http.MethodGet, "/readyz/etcd", "", `cannot get path "/readyz/etcd"`},
	} {
		harness.WrongRequest{Method: row.method, Path: row.path, Body: row.body, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: fmt.Sprintf("User %q %s", "alice", row.may)}.Check(t, alice)
	}
	// Any authenticated user may read the description of the API.
	for _, path := range append([]string{"/version", "/openapi/v2", "/apis"}, healthPaths...) {
		if answer := alice.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	if after := admin.Everything(t); len(after) != len(before) {
		t.Errorf("a forbidden write was executed: %v", after)
	}

	// The group decides, not the user name, and impersonation ends at the rights of the impersonated user.
	other := harness.IssueClient(t, server, "bob", "system:masters")
	if answer := harness.NewRawClient(t, other).Do(t, http.MethodGet, harness.HostsPath, "", "", ""); answer.Code != http.StatusOK {
		t.Errorf("a member of system:masters: %d %s", answer.Code, answer.Body)
	}
	other.Impersonate = rest.ImpersonationConfig{UserName: "carol"}
	harness.WrongRequest{Method: http.MethodGet, Path: harness.HostsPath, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: `User "carol" cannot list resource "hosts"`}.Check(t, harness.NewRawClient(t, other))
}

func TestAnAdministratorReadsMetricsAndVersionAndFindsNoProfiling(t *testing.T) {
	admin := harness.NewRawClient(t, servertesting.Start(t).Config)
	for path, part := range map[string]string{"/metrics": "apiserver_request_total", "/version": `"gitVersion"`, "/readyz?verbose": "[+]watch-caches-fleet.gatehouse.dev ok"} {
		if answer := admin.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusOK || !strings.Contains(string(answer.Body), part) {
			t.Errorf("%s: %d, and nothing of %s in it", path, answer.Code, part)
		}
	}
	for _, path := range []string{"/debug/pprof", "/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/heap", "/debug/flags/v"} {
		if answer := admin.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d, but profiling is off by default", path, answer.Code)
		}
	}
}

func TestNothingOlderThanTLS13IsSpoken(t *testing.T) {
	server := servertesting.Start(t)
	config, err := rest.TLSConfigFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(server.URL, "https://")
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		old := config.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, version
		connection, err := tls.Dial("tcp", address, old)
		if err == nil {
			_ = connection.Close()
			t.Errorf("the server speaks %s", tls.VersionName(version))
		} else if !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s: refused with %v", tls.VersionName(version), err)
		}
	}
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if version := connection.ConnectionState().Version; version != tls.VersionTLS13 {
		t.Errorf("the server speaks %s with a client that speaks all", tls.VersionName(version))
	}
}
