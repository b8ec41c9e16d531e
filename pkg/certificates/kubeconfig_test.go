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

package certificates

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestKubeconfigLeadsToTheServerAsTheAdmin(t *testing.T) {
	b := newHome(t).ensure()
	data, err := Kubeconfig("https://127.0.0.1:6443", b.CA.CertPEM, b.Admin.CertPEM, b.Admin.KeyPEM, "gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:6443" || !bytes.Equal(config.CAData, b.CA.CertPEM) ||
		!bytes.Equal(config.CertData, b.Admin.CertPEM) || !bytes.Equal(config.KeyData, b.Admin.KeyPEM) {
		t.Errorf("kubeconfig leads to %s", config.Host)
	}
	raw, err := clientcmd.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	if raw.CurrentContext != "gatehouse" || raw.Contexts["gatehouse"].AuthInfo != AdminUser {
		t.Errorf("context %q, user %q", raw.CurrentContext, raw.Contexts["gatehouse"].AuthInfo)
	}
}

func TestKubeconfigRefuses(t *testing.T) {
	b := newHome(t).ensure()
	tests := map[string]struct {
		server string
		key    []byte
		want   string
	}{
		"a server without scheme":      {server: "127.0.0.1:6443", key: b.Admin.KeyPEM, want: "must be a URL"},
		"a server without TLS":         {server: "http://127.0.0.1:6443", key: b.Admin.KeyPEM, want: "must be a URL"},
		"a key of another certificate": {server: "https://127.0.0.1:6443", key: b.Serving.KeyPEM, want: "client certificate"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Kubeconfig(tc.server, b.CA.CertPEM, b.Admin.CertPEM, tc.key, "gatehouse")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestWriteKubeconfigIsForTheOwnerAndLeavesNothingElse(t *testing.T) {
	b := newHome(t).ensure()
	dir := t.TempDir()
	path := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The third write has the content of the second.
	for _, server := range []string{"https://127.0.0.1:1", "https://127.0.0.1:2", "https://127.0.0.1:2"} {
		if err := WriteKubeconfig(path, server, b.CA.CertPEM, b.Admin.CertPEM, b.Admin.KeyPEM, "gatehouse"); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), server) {
			t.Errorf("%s is not in the file", server)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("mode is %s", info.Mode())
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}
