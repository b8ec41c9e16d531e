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

package app

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/login"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
)

// dataDir creates an authority and an administrator's kubeconfig, as after a first start.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bundle, err := certificates.Ensure(filepath.Join(dir, "pki"), certificates.Options{ExtraSANs: []string{"gatehouse.example.com", "10.1.2.3"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := certificates.WriteKubeconfig(filepath.Join(dir, "kubeconfig"), "https://127.0.0.1:7443", bundle.CA.CertPEM, bundle.Admin.CertPEM, bundle.Admin.KeyPEM, "gatehouse"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runCredential(t *testing.T, cmd *cobra.Command, args ...string) (out, notes string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(append([]string{"add"}, args...))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestAKubeconfigHoldsACertificateOfTheServersAuthority(t *testing.T) {
	dir := dataDir(t)
	ca, err := certificates.LoadCA(filepath.Join(dir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		cmd    *cobra.Command
		args   []string
		user   string
		groups []string
		life   time.Duration
		server string
	}{
		{"a user", newUserCommand(), []string{"jane"}, "jane", nil, credentials.DefaultLifetime, "https://127.0.0.1:7443"},
		{"a user in groups, for a day, elsewhere", newUserCommand(), []string{"jane@example.com", "--group", "ops", "--group", "dev", "--group", "ops", "--ttl", "24h", "--server", "https://gatehouse.example.com"}, "jane@example.com", []string{"dev", "ops"}, 24 * time.Hour, "https://gatehouse.example.com"},
		{"a host", newHostCommand(), []string{"edge-1"}, "system:host:edge-1", []string{"system:hosts"}, credentials.DefaultLifetime, "https://127.0.0.1:7443"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out")
			out, notes, err := runCredential(t, tc.cmd, append(tc.args, "--data-dir", dir, "--out", path)...)
			if err != nil || out != "" || !strings.Contains(notes, tc.user+" is in "+path) {
				t.Fatalf("%q, %q, %v", out, notes, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file has mode %v", info.Mode().Perm())
			}
			config, err := clientcmd.BuildConfigFromFlags("", path)
			if err != nil {
				t.Fatal(err)
			}
			if config.Host != tc.server || !bytes.Equal(config.CAData, ca.CertPEM) {
				t.Errorf("it leads to %s", config.Host)
			}
			block, _ := pem.Decode(config.CertData)
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := cert.CheckSignatureFrom(ca.Cert); err != nil {
				t.Error(err)
			}
			if cert.Subject.CommonName != tc.user || !slices.Equal(cert.Subject.Organization, tc.groups) {
				t.Errorf("it is of %s", cert.Subject)
			}
			if left := time.Until(cert.NotAfter); left > tc.life || left < tc.life-time.Hour {
				t.Errorf("it is valid for %s, want %s", left, tc.life)
			}
		})
	}
}

func TestAKubeconfigIsWrittenToStandardOutputWhenAsked(t *testing.T) {
	out, notes, err := runCredential(t, newUserCommand(), "jane", "--data-dir", dataDir(t), "--out", "-", "--ttl", "24h")
	if err != nil || notes != "" {
		t.Fatal(notes, err)
	}
	if _, err := clientcmd.Load([]byte(out)); err != nil {
		t.Error(err)
	}
}

func TestReservedNamesAreRefused(t *testing.T) {
	dir, exists := dataDir(t), filepath.Join(t.TempDir(), "exists")
	if err := os.WriteFile(exists, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		cmd  *cobra.Command
		args []string
		says string
	}{
		{"a user of the server's", newUserCommand(), []string{"system:admin"}, `"system:admin" cannot be the name of a user`},
		{"a host as a user", newUserCommand(), []string{"system:host:edge-1"}, `"gatehouse host add"`},
		{"a controller", newUserCommand(), []string{"system:controller:namespace"}, "are reserved for the server"},
		{"the administrator", newUserCommand(), []string{"gatehouse-admin"}, "is the administrator"},
		{"the administrators", newUserCommand(), []string{"jane", "--group", "system:masters"}, "--group=system:masters cannot be given"},
		{"the hosts", newUserCommand(), []string{"jane", "--group", "dev", "--group", "system:hosts"}, "--group=system:hosts cannot be given"},
		{"an empty name", newUserCommand(), []string{""}, "cannot name a user"},
		{"a group of no name", newUserCommand(), []string{"jane", "--group", ""}, "cannot name a user or a group"},
		{"a reserved name behind a space", newUserCommand(), []string{" system:admin"}, "has spaces around it"},
		{"a name with a line break", newUserCommand(), []string{"jane\nsystem:masters"}, "control characters"},
		{"no name", newUserCommand(), nil, "takes one name, not 0"},
		{"two names", newHostCommand(), []string{"a", "b"}, "takes one name, not 2"},
		{"a host that no Host can be", newHostCommand(), []string{"Edge_1"}, `"Edge_1" cannot be the name of a host`},
		{"no time", newUserCommand(), []string{"jane", "--ttl", "0s"}, "--ttl=0s: a client certificate needs a lifetime above zero"},
		{"longer than the authority", newUserCommand(), []string{"jane", "--ttl", "200000h"}, "cannot outlast the cluster CA"},
		{"a server without TLS", newUserCommand(), []string{"jane", "--server", "http://gatehouse"}, "--server=http://gatehouse: "},
		{"a file that is there", newUserCommand(), []string{"jane", "--out", exists}, "exists: remove it, or name another file with --out"},
		{"a name that is no file", newUserCommand(), []string{"team/jane"}, "name one with --out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append(tc.args, "--data-dir", dir)
			if !slices.Contains(args, "--out") && !strings.Contains(tc.says, "--out") {
				args = append(args, "--out", filepath.Join(t.TempDir(), "out"))
			}
			if out, _, err := runCredential(t, tc.cmd, args...); err == nil || !strings.Contains(err.Error(), tc.says) || out != "" {
				t.Errorf("got %q, %v, want %q", out, err, tc.says)
			}
		})
	}
	if read(t, exists) != "mine" {
		t.Error("an existing file is gone")
	}
}

func TestWithoutAServerThereIsNoAuthority(t *testing.T) {
	empty := t.TempDir()
	if _, _, err := runCredential(t, newUserCommand(), "jane", "--data-dir", empty); err == nil || !strings.Contains(err.Error(), "start the server once to make one") {
		t.Errorf("got %v", err)
	}
	dir := dataDir(t)
	if err := os.Remove(filepath.Join(dir, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := runCredential(t, newUserCommand(), "jane", "--data-dir", dir); err == nil || !strings.Contains(err.Error(), "set it with --server") {
		t.Errorf("got %v", err)
	}
}

func TestAKubeconfigLeadsOnlyWhereTheServersCertificateIsGood(t *testing.T) {
	dir := dataDir(t)
	for _, tc := range []struct {
		server, says string
	}{
		{"https://gatehouse.example.com:6443", ""},
		{"https://GATEHOUSE.example.com", ""},
		{"https://10.1.2.3:6443", ""},
		{"https://[::1]:6443", ""},
		{"https://10.9.9.9:6443", "start the server with --tls-san 10.9.9.9"},
		{"https://other.example.com:6443/path", "start the server with --tls-san other.example.com"},
		{"https://[fd00::1]:6443", "start the server with --tls-san fd00::1"},
		{"http://gatehouse.example.com:6443", "it is not the URL of a server"},
		{"gatehouse.example.com:6443", "it is not the URL of a server"},
		{"https://:6443", "it is not the URL of a server"},
		{"https://other.example.com:6443,https://gatehouse.example.com:6443", ""},
		{"https://other.example.com:6443,https://10.9.9.9:6443", "start the server with --tls-san other.example.com"},
	} {
		for _, cmd := range []*cobra.Command{newUserCommand(), newHostCommand()} {
			_, _, err := runCredential(t, cmd, "jane", "--data-dir", dir, "--server", tc.server, "--out", filepath.Join(t.TempDir(), "out"))
			if (err != nil) != (tc.says != "") || err != nil && (!strings.Contains(err.Error(), "--server="+tc.server) || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%s add --server %s: got %v, want %q", cmd.Name(), tc.server, err, tc.says)
			}
		}
	}
	// A server with a configured certificate generates none, so every URL is accepted.
	for _, file := range []string{"serving.crt", "serving.key"} {
		if err := os.Remove(filepath.Join(dir, "pki", file)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := runCredential(t, newUserCommand(), "jane", "--data-dir", dir, "--server", "https://10.9.9.9:6443", "--out", filepath.Join(t.TempDir(), "out")); err != nil {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestAKubeconfigLeadsToSeveralServers(t *testing.T) {
	dir := dataDir(t)
	const list = "https://gatehouse.example.com:6443,https://b.example.com:6443"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	printed := output(t, login.NewKubeconfigCommand(), "--data-dir", dir, "--server", list)
	if err := os.WriteFile(path, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	users := output(t, login.NewKubeconfigCommand(), "--data-dir", dir, "--server", list, "--oidc", "--issuer-url", "https://sso.example.com", "--client-id", "gatehouse")
	// A new kubeconfig leads where the administrator's leads.
	if err := os.Rename(path, filepath.Join(dir, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"the administrator's": printed,
		"that of users":       users,
		"that of a host":      output(t, newHostCommand(), "add", "edge-1", "--data-dir", dir, "--out", "-"),
		"that of a user":      output(t, newUserCommand(), "add", "jane", "--data-dir", dir, "--out", "-", "--server", list),
	} {
		config, servers, err := failover.Read([]byte(data))
		if err != nil || config.Host != "https://gatehouse.example.com:6443" || servers.String() != "https://gatehouse.example.com:6443, https://b.example.com:6443" {
			t.Errorf("%s leads to %s, %v", name, servers, err)
		}
	}
	if _, _, err := runCredential(t, newUserCommand(), "jane", "--data-dir", dir, "--out", "-", "--server", "https://gatehouse.example.com,https://gatehouse.example.com:443"); err == nil || err.Error() != "--server=https://gatehouse.example.com:443: the server is listed twice: leave one out" {
		t.Errorf("got %v", err)
	}
}

// output returns the standard output of a command.
func output(t *testing.T, cmd *cobra.Command, args ...string) string {
	t.Helper()
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestACredentialThatCannotBeWrittenIsNotIssued(t *testing.T) {
	dir, out := dataDir(t), t.TempDir()
	existing := filepath.Join(out, "kubeconfig")
	if err := os.WriteFile(existing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"a file that exists", []string{"jane", "--out", existing}, "exists: remove it, or name another file with --out"},
		{"a name that is no file name", []string{"team/jane"}, "is not a file name: name one with --out"},
		{"a directory that does not exist", []string{"jane", "--out", filepath.Join(out, "none", "kubeconfig")}, "--out: the kubeconfig cannot be written"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, notes, err := runCredential(t, newUserCommand(), append(tc.args, "--data-dir", dir)...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || notes != "" {
				t.Errorf("got %q, %v, want %q and no notes", notes, err, tc.want)
			}
			if records, _ := filepath.Glob(filepath.Join(dir, "pki", "issued", "*")); len(records) != 0 {
				t.Errorf("certificates are recorded: %v", records)
			}
		})
	}
}
