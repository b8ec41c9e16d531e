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
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
)

func TestTheAgentUsesAnotherServerOfItsKubeconfigWhenOneFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := certificates.Ensure(filepath.Join(dir, "pki"), certificates.Options{}); err != nil {
		t.Fatal(err)
	}
	ca, err := certificates.LoadCA(filepath.Join(dir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := certificates.IssueHost(ca, "system:host:edge-1", []string{"system:hosts"}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	away, there := httptest.NewTLSServer(answer), httptest.NewTLSServer(answer)
	defer there.Close()
	away.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: there.Certificate().Raw})
	kubeconfig, err := certificates.Kubeconfig(away.URL, authority, certPEM, keyPEM, "gatehouse")
	if err == nil {
		kubeconfig, err = failover.ExtendKubeconfig(kubeconfig, []string{away.URL, there.URL})
	}
	if err != nil {
		t.Fatal(err)
	}
	o := &runOptions{kubeconfig: filepath.Join(dir, "kubeconfig")}
	if err := os.WriteFile(o.kubeconfig, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	// The first server is chosen at random, so one attempt does not show that the other is tried.
	for range 4 {
		id, err := o.identity()
		if err != nil {
			t.Fatal(err)
		}
		client, err := rest.HTTPClientFor(id.config)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(away.URL + "/version")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if id.host != "edge-1" || id.servers != away.URL+", "+there.URL || id.tunnel.Host != away.URL {
			t.Errorf("the identity is %+v", id)
		}
	}
}

func TestAJoinNamesEachMistake(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"no token", []string{"https://a:1"}, "--token is missing"},
		{"no authority", []string{"https://a:1", "--token", "a.b"}, "--ca is missing"},
		{"an authority that was cut off", []string{"https://a:1", "--token", "a.b", "--ca", "abc"}, "--ca has no certificate"},
		{"no URL", []string{"a:1"}, "a:1: it is not the URL of a server: write it as https://gatehouse.example.com:6443"},
		{"one of two is no URL", []string{"https://a:1,b"}, "b: it is not the URL of a server"},
		{"a server twice", []string{"https://a:1,https://a:1"}, "the server is listed twice"},
		{"no name of a host", []string{"https://a:1", "--name", "Edge_1"}, `--name="Edge_1" is not the name of a host`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := newJoinCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			root := filepath.Join(t.TempDir(), "root")
			cmd.SetArgs(append(tc.args, "--root-dir", root))
			err := cmd.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
			if _, err := os.Stat(root); err == nil {
				t.Error("the directory was created")
			}
		})
	}
}
