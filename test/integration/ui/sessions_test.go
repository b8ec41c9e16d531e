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

package ui

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	authenticationv1 "k8s.io/api/authentication/v1"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
)

// visit starts a session on the server as a user, and returns the visitor and the secrets of the session.
func visit(t *testing.T, config *rest.Config) (v *visitor.Visitor, secrets []string) {
	t.Helper()
	secret, sum := ui.NewSecret()
	made, err := versioned.NewForConfigOrDie(config).DiagnosticsV1alpha1().UISessions().Create(t.Context(),
		&v1alpha1.UISession{Spec: v1alpha1.UISessionSpec{SecretHash: hex.EncodeToString(sum[:])}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v = visitor.Open(t, ui.Link(made.Status.URL, secret), authorities(config))
	return v, []string{secret, v.Cookie.Value, "gatehouse-ui-session"}
}

// A session ends with the credentials with which its link was made: its stream within seconds, and with the last
// line that tells why.
func TestASessionEndsWithTheCredentialsOfItsUser(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.UI.Listen = "127.0.0.1:0" })
	client := harness.BuiltinClient(t, server)
	certified := harness.IssueClient(t, server, "leaver")
	for _, account := range []string{"leaver", "stayer"} {
		if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		config *rest.Config
		revoke func() error
	}{
		"a certificate is revoked": {certified, func() error {
			block, _ := pem.Decode(certified.CertData)
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return err
			}
			return revocation.RevokeCertificates(t.Context(), client.CoreV1().ConfigMaps(revocation.Namespace), map[string]time.Time{revocation.Serial(certificate): certificate.NotAfter}, time.Now())
		}},
		"a service account is deleted": {harness.WithToken(server, harness.NewToken(t, client, "leaver", authenticationv1.TokenRequestSpec{})), func() error {
			return client.CoreV1().ServiceAccounts("default").Delete(t.Context(), "leaver", metav1.DeleteOptions{})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, _ := visit(t, c.config)
			lines, _ := v.Follow(t, "watch=/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces")
			until(t, lines, `"synced":true`)
			if err := c.revoke(); err != nil {
				t.Fatal(err)
			}
			until(t, lines, `{"end":"the credentials with which the link was made are no longer valid`)
			if response, _ := v.Send(t, http.MethodGet, "/ui/whoami", "", nil); response.StatusCode != http.StatusUnauthorized {
				t.Errorf("the session goes on: %s", response.Status)
			}
		})
	}
	t.Run("the sessions of others go on", func(t *testing.T) {
		v, _ := visit(t, harness.WithToken(server, harness.NewToken(t, client, "stayer", authenticationv1.TokenRequestSpec{})))
		response, body := v.Send(t, http.MethodGet, "/ui/whoami", "", nil)
		if response.StatusCode != http.StatusOK || !strings.Contains(body, "system:serviceaccount:default:stayer") {
			t.Errorf("%s %s", response.Status, body)
		}
		// Its rights are those of the account.
		if response, body = v.Send(t, http.MethodGet, "/ui/api"+hosts, "", nil); response.StatusCode != http.StatusForbidden || !strings.Contains(body, "system:serviceaccount:default:stayer") {
			t.Errorf("%s %s", response.Status, body)
		}
	})
}

func TestNoSecretOfASessionIsInALogATraceOrTheAuditLog(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t), "--ui-listen=127.0.0.1:0", "--audit", "-v=10")
	v, secrets := visit(t, server.Config)
	for _, path := range []string{"/ui/whoami", "/ui/api" + hosts, "/ui/api/api/v1/namespaces/absent/configmaps/absent", "/ui/api/api/v1/secrets"} {
		v.Send(t, http.MethodGet, path, "", nil)
	}
	lines, _ := v.Follow(t, "watch="+hosts+"&watch=/api/v1/secrets")
	lines.Scan()
	v.Send(t, http.MethodPost, "/ui/session", visitor.Redeem(secrets[0]), nil) // used
	var traces string
	kit.Eventually(t, "the traces have the requests of the session", func(ctx context.Context) bool {
		all, err := kubernetes.NewForConfigOrDie(server.Config).RESTClient().Get().AbsPath("/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces").DoRaw(ctx)
		traces = string(all)
		return err == nil && strings.Contains(traces, `"by":"ui-session"`)
	})
	server.Stop(t)
	texts := map[string]string{"the traces": traces, "the log": server.Stderr() + server.Stdout()}
	err := filepath.WalkDir(server.DataDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		texts[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if audit := texts[filepath.Join(server.DataDir, "audit", "audit.log")]; !strings.Contains(audit, "uisessions") {
		t.Error("the audit log has no UISession")
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %.30s", where, secret)
			}
		}
	}
}
