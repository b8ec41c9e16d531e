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

package integration

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
)

// issueClient is a client configuration with a certificate of the server's own CA.
func issueClient(t *testing.T, server *servertesting.Server, user string, groups ...string) *rest.Config {
	t.Helper()
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return issueClientFrom(t, ca, server, user, time.Now(), groups...)
}

// issueClientFrom is a client configuration with a certificate of any CA, valid for an hour from a time on.
func issueClientFrom(t *testing.T, ca certificates.KeyPair, server *servertesting.Server, user string, from time.Time, groups ...string) *rest.Config {
	t.Helper()
	cert, key, err := certificates.IssueClient(ca, user, groups, time.Hour, from)
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(server.Config)
	config.CertData, config.KeyData = cert, key
	return config
}

// Paths that are served without credentials, and paths that need authorization.
var (
	healthPaths    = []string{"/livez", "/readyz", "/healthz"}
	protectedPaths = []string{
		"/", "/api", "/apis", "/apis/fleet.gatehouse.dev", fleetPath, hostsPath, instancesPath, hostsPath + "/edge-1", instancesPath + "?watch=1",
		"/openapi/v2", "/openapi/v3", "/version", "/metrics", "/debug/pprof/", "/nothing-is-here",
		// The path of a single check returns more than the result of all checks.
		"/livez/etcd", "/readyz/etcd", "/healthz/ping",
	}
)

func TestWhoDoesNotProveWhoTheyAreGetsNothingButHealthAndVersion(t *testing.T) {
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
		"a certificate of a stranger":    issueClientFrom(t, stranger.CA, server, "gatehouse-admin", time.Now(), "system:masters"),
		"a certificate that has run out": issueClientFrom(t, ca, server, "gatehouse-admin", time.Now().Add(-2*time.Hour), "system:masters"),
		"a certificate that is to come":  issueClientFrom(t, ca, server, "gatehouse-admin", time.Now().Add(24*time.Hour), "system:masters"),
		"the server's own certificate":   servingCertificate(t, server),
	} {
		t.Run(who, func(t *testing.T) {
			client := newRawClient(t, config)
			for _, path := range protectedPaths {
				if path == "/version" && who == "nobody" {
					continue // see TestRolesDecideWhatAnonymousCallersRead
				}
				wrongRequest{method: http.MethodGet, path: path, code: http.StatusUnauthorized, reason: metav1.StatusReasonUnauthorized, message: "Unauthorized"}.check(t, client)
			}
			wrongRequest{path: hostsPath, body: goodHost, code: http.StatusUnauthorized, reason: metav1.StatusReasonUnauthorized, message: "Unauthorized"}.check(t, client)
			wrongRequest{method: http.MethodDelete, path: hostsPath, code: http.StatusUnauthorized, reason: metav1.StatusReasonUnauthorized, message: "Unauthorized"}.check(t, client)
			if who != "nobody" {
				return
			}
			for _, path := range healthPaths {
				if answer := client.do(t, http.MethodGet, path, "", "", ""); answer.code != http.StatusOK || string(answer.body) != "ok" {
					t.Errorf("%s: %d %s", path, answer.code, answer.body)
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

func TestWhoIsNoAdministratorIsToldWhoTheyAreAndWhatTheyMayNot(t *testing.T) {
	server := servertesting.Start(t)
	admin, alice := newRawClient(t, server.Config), newRawClient(t, issueClient(t, server, "alice", "developers"))
	before := admin.everything(t)
	for _, row := range []struct{ method, path, body, may string }{
		{http.MethodGet, instancesPath, "", `cannot list resource "instances" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodGet, instancesPath + "?watch=1", "", `cannot watch resource "instances" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodGet, fleetPath + "/instances", "", `cannot list resource "instances" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodGet, hostsPath + "/edge-1", "", `cannot get resource "hosts" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodPost, hostsPath, goodHost, `cannot create resource "hosts" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodPatch, hostsPath + "/edge-1/status", "{}", `cannot patch resource "hosts/status" in API group "fleet.gatehouse.dev" at the cluster scope`},
		{http.MethodPost, instancesPath + "/web/binding", "{}", `cannot create resource "instances/binding" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodDelete, instancesPath, "", `cannot deletecollection resource "instances" in API group "fleet.gatehouse.dev" in the namespace "default"`},
		{http.MethodGet, "/metrics", "", `cannot get path "/metrics"`},
		{http.MethodGet, "/debug/pprof/", "", `cannot get path "/debug/pprof/"`},
		{http.MethodGet, "/readyz/etcd", "", `cannot get path "/readyz/etcd"`},
	} {
		wrongRequest{method: row.method, path: row.path, body: row.body, code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: fmt.Sprintf("User %q %s", "alice", row.may)}.check(t, alice)
	}
	// Any authenticated user may read the description of the API.
	for _, path := range append([]string{"/version", "/openapi/v2", "/apis"}, healthPaths...) {
		if answer := alice.do(t, http.MethodGet, path, "", "", ""); answer.code != http.StatusOK {
			t.Errorf("%s: %d %s", path, answer.code, answer.body)
		}
	}
	if after := admin.everything(t); len(after) != len(before) {
		t.Errorf("a forbidden write was executed: %v", after)
	}

	// The group decides, not the user name, and impersonation ends at the rights of the impersonated user.
	other := issueClient(t, server, "bob", "system:masters")
	if answer := newRawClient(t, other).do(t, http.MethodGet, hostsPath, "", "", ""); answer.code != http.StatusOK {
		t.Errorf("a member of system:masters: %d %s", answer.code, answer.body)
	}
	other.Impersonate = rest.ImpersonationConfig{UserName: "carol"}
	wrongRequest{method: http.MethodGet, path: hostsPath, code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: `User "carol" cannot list resource "hosts"`}.check(t, newRawClient(t, other))
}

func TestAnAdministratorReadsMetricsAndVersionAndFindsNoProfiling(t *testing.T) {
	admin := newRawClient(t, servertesting.Start(t).Config)
	for path, part := range map[string]string{"/metrics": "apiserver_request_total", "/version": `"gitVersion"`, "/readyz?verbose": "[+]watch-caches-fleet.gatehouse.dev ok"} {
		if answer := admin.do(t, http.MethodGet, path, "", "", ""); answer.code != http.StatusOK || !strings.Contains(string(answer.body), part) {
			t.Errorf("%s: %d, and nothing of %s in it", path, answer.code, part)
		}
	}
	for _, path := range []string{"/debug/pprof", "/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/heap", "/debug/flags/v"} {
		if answer := admin.do(t, http.MethodGet, path, "", "", ""); answer.code != http.StatusNotFound {
			t.Errorf("%s: %d, but profiling is off by default", path, answer.code)
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
