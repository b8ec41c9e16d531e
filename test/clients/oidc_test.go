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

package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/browser"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestMain(m *testing.M) {
	browser.Main()
	os.Exit(m.Run())
}

// writeCertificate writes a certificate of the loopback interface, which is its own authority, and its key.
func writeCertificate(t *testing.T, dir string) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
		key:         {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// startNodeProvider starts a provider in a directory of npmInstall and returns its URL.
func startNodeProvider(t *testing.T, node, dir, certificate, key string) string {
	t.Helper()
	address, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	issuer := "https://" + address
	provider := exec.CommandContext(t.Context(), node, "provider.mjs")
	provider.Dir = dir
	provider.Env = append(os.Environ(), "ISSUER="+issuer, "TLS_CERT="+certificate, "TLS_KEY="+key)
	var stderr bytes.Buffer
	provider.Stderr = &stderr
	stdout, err := provider.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := provider.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = provider.Process.Kill()
		_ = provider.Wait()
		if t.Failed() {
			t.Logf("the provider:\n%s", stderr.String())
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "listening" {
			return issuer
		}
	}
	t.Fatalf("the provider has ended: %v\n%s", provider.Wait(), stderr.String())
	return ""
}

// The tests of test/oidc have another certified provider.
func TestKubectlLogsInAtAProviderInJavaScript(t *testing.T) {
	node, dir := npmInstall(t, "oidc", "provider.mjs")
	certificate, key := writeCertificate(t, dir)
	issuer := startNodeProvider(t, node, dir, certificate, key)
	ca, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "authentication.yaml")
	config := fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [gatehouse]
    certificateAuthority: |
      %s
  claimMappings:
    username: {claim: sub, prefix: "oidc:"}
    groups: {claim: groups, prefix: "oidc:"}
`, issuer, strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n      "))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--authentication-config="+file)
	kubeconfig := mustRun(t, nil, "", binary.Path(t), "kubeconfig", "--oidc", "--data-dir="+s.DataDir, "--command="+binary.Path(t),
		"--issuer-url="+issuer, "--client-id=gatehouse", "--ca-file="+certificate, "--scopes=offline_access,groups", "--cache-dir="+filepath.Join(dir, "cache"))
	users := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(users, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	ada := browser.User{Name: "ada", Password: "any", CA: string(ca), Log: filepath.Join(dir, "browser.log")}
	for _, setting := range ada.Environment(t) {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	// The server may not have the keys of the provider yet. The user logs in once, whatever the server answers.
	kit.EventuallyState(t, "the server knows the user", func(context.Context) (bool, string) {
		got, err := run(t, nil, "", kubectl(t), "--kubeconfig="+users, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
		return got == `oidc:ada ["oidc:developers","system:authenticated"]`, fmt.Sprint(got, err)
	})
	mustRun(t, nil, "", kubectl(t), "--kubeconfig="+users, "auth", "whoami") // with the cached token
	if visits := ada.Visits(t); len(visits) != 1 {
		t.Errorf("the user logged in %d times: %q", len(visits), visits)
	}
}
