//go:build e2e

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

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const instancesPath = "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances"

func TestUsersMayWhatTheirRolesSay(t *testing.T) {
	ns := namespace(t, "roles")
	apply(t, instance(ns, "shown", ""))
	asUser := func(user string, args ...string) (string, error) {
		return env.cluster.Kubectl("", append([]string{"--as=" + user, "-n", ns}, args...)...)
	}
	bind := func(role, user string) {
		kubectl(t, "create", "rolebinding", role+"-"+user, "-n", ns, "--clusterrole="+role, "--user="+user)
	}
	bind("view", "vera")
	bind("edit", "edgar")
	bind("admin", "ada")

	t.Run("view reads, because gatehouse:view is aggregated into it", func(t *testing.T) {
		kit.EventuallyState(t, "vera may read", func(context.Context) (bool, string) {
			out, err := asUser("vera", "get", "instances", "-o", "name")
			return err == nil && strings.Contains(out, "shown"), errText(err)
		})
	})
	t.Run("view does not write, and gets the reason", func(t *testing.T) {
		_, err := asUser("vera", "delete", "instance", "shown")
		want := `instances.fleet.gatehouse.dev "shown" is forbidden: User "vera" cannot delete resource "instances" in API group "fleet.gatehouse.dev" in the namespace "roles"`
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	})
	t.Run("edit and admin write", func(t *testing.T) {
		for _, user := range []string{"edgar", "ada"} {
			kit.EventuallyState(t, user+" may write", func(context.Context) (bool, string) {
				_, err := asUser(user, "label", "instance", "shown", "by="+user, "--overwrite")
				return err == nil, errText(err)
			})
		}
	})
	t.Run("other users do not read", func(t *testing.T) {
		_, err := asUser("nobody", "get", "instances")
		if err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("want Forbidden, got %v", err)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTheRightUserArrivesInOurAuditLog(t *testing.T) {
	ns := namespace(t, "audited")
	apply(t, instance(ns, "seen", ""))
	kubectl(t, "create", "serviceaccount", "robot", "-n", ns)
	robotUID := kubectl(t, "get", "serviceaccount", "robot", "-n", ns, "-o", "jsonpath={.metadata.uid}")
	for _, subject := range []string{"--serviceaccount=" + ns + ":robot", "--user=certified", "--user=borrowed"} {
		kubectl(t, "create", "rolebinding", "read-"+strings.NewReplacer("=", "-", ":", "-", "--", "").Replace(subject), "-n", ns, "--clusterrole=view", subject)
	}
	token, err := env.cluster.Token(ns, "robot")
	if err != nil {
		t.Fatal(err)
	}
	tokenConfig := t.TempDir() + "/token"
	if err := harness.Kubeconfig(tokenConfig, env.cluster.URL, env.cluster.CAFile, harness.Pair{}, token); err != nil {
		t.Fatal(err)
	}
	certConfig, err := env.cluster.UserKubeconfig("certified", "testers")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		user string
		uid  string
	}{
		{"a service account's token", []string{"--kubeconfig=" + tokenConfig}, "system:serviceaccount:" + ns + ":robot", robotUID},
		{"a client certificate", []string{"--kubeconfig=" + certConfig}, "certified", ""},
		{"impersonation by the administrator", []string{"--as=borrowed"}, "borrowed", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kit.EventuallyState(t, tc.user+" may read", func(context.Context) (bool, string) {
				_, err := env.cluster.Kubectl("", append([]string{"get", "instance", "seen", "-n", ns}, tc.args...)...)
				return err == nil, errText(err)
			})
			kit.EventuallyState(t, "the audit log names "+tc.user, func(context.Context) (bool, string) {
				events, err := env.gatehouse.AuditEvents()
				if err != nil {
					return false, err.Error()
				}
				for _, e := range events {
					if e.User.Username == tc.user && e.ObjectRef != nil && e.ObjectRef.Name == "seen" {
						if tc.uid != "" && e.User.UID != tc.uid {
							return false, "uid " + e.User.UID
						}
						return true, ""
					}
				}
				return false, "not among the events"
			})
		})
	}
}

// direct sends a request to a replica, not through the kube-apiserver.
func direct(t *testing.T, pair *harness.Pair, header http.Header, path string) (int, string) {
	t.Helper()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(env.gatehouse.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: pool}
	if pair != nil {
		certificate, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			t.Fatal(err)
		}
		// The certificate is sent whatever authorities the server requests, as an attacker would.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env.gatehouse.Replicas[0].URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

func TestForgedIdentityHeadersAreRefused(t *testing.T) {
	forged := http.Header{"X-Remote-User": {"system:admin"}, "X-Remote-Group": {"system:masters"}}
	issue := func(a *harness.Authority, file, name string, groups ...string) *harness.Pair {
		pair, err := a.Issue(file, name, groups)
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	stranger, err := harness.NewAuthority(t.TempDir(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		pair *harness.Pair
		code int
	}{
		{"without a certificate: 401", nil, http.StatusUnauthorized},
		{"with another name of the proxy's authority: 401", issue(env.cluster.ProxyCA, "not-the-proxy", "somebody"), http.StatusUnauthorized},
		{"with an empty name of the proxy's authority: 401", issue(env.cluster.ProxyCA, "nameless", ""), http.StatusUnauthorized},
		{"with the proxy's name from a stranger's authority: 401", issue(stranger, "strange-proxy", "front-proxy-client"), http.StatusUnauthorized},
		{"with a user's certificate: 401", issue(env.cluster.ClientCA, "mallory", "mallory"), http.StatusUnauthorized},
		{"with an administrator's certificate: 401", issue(env.cluster.ClientCA, "mallory-admin", "mallory", "system:masters"), http.StatusUnauthorized},
		{"with the proxy's name from the users' authority: 401", issue(env.cluster.ClientCA, "user-front-proxy", "front-proxy-client"), http.StatusUnauthorized},
		{"with the proxy's certificate: 200", &env.cluster.Proxy, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, body := direct(t, tc.pair, forged, instancesPath)
			if code != tc.code {
				t.Errorf("got %d: %s", code, body)
			}
			if code != http.StatusOK && strings.Contains(body, "system:admin") {
				t.Errorf("the forged name was taken: %s", body)
			}
		})
	}
	t.Run("through the kube-apiserver the headers are stripped", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env.cluster.URL+instancesPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = forged
		pool := x509.NewCertPool()
		ca, err := os.ReadFile(env.cluster.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		pool.AppendCertsFromPEM(ca)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden {
			t.Errorf("got %d", response.StatusCode)
		}
	})
}

func TestOnlyHealthAnswersStrangers(t *testing.T) {
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		if code, body := direct(t, nil, nil, path); code != http.StatusOK {
			t.Errorf("%s: got %d: %s", path, code, body)
		}
	}
	for _, path := range []string{"/metrics", "/version", "/apis", "/openapi/v3", instancesPath, "/readyz/ping"} {
		if code, _ := direct(t, nil, nil, path); code != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", path, code)
		}
	}
}
