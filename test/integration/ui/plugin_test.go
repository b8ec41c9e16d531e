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
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	plugin "github.com/gatehouse-dev/gatehouse/cmd/kubectl-gatehouse/app"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
)

const hosts = "/apis/fleet.gatehouse.dev/v1alpha1/hosts"

// command runs kubectl gatehouse ui, and returns its link and a function that stops it and returns the exit
// code.
func command(t *testing.T, args ...string) (link string, stop func() int) {
	t.Helper()
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	var said strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- plugin.Execute(ctx, append([]string{"ui"}, args...), plugin.Streams{Out: in, Err: &said})
		_ = in.Close()
	}()
	stop = func() int {
		cancel()
		return <-code
	}
	t.Cleanup(cancel)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if found := strings.TrimSpace(lines.Text()); strings.HasPrefix(found, "http") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return found, stop
		}
	}
	t.Fatalf("there is no link, the command ended with %d: %s", stop(), said.String())
	return "", nil
}

func authorities(config *rest.Config) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(config.CAData)
	return pool
}

// until reads lines of a stream until one has the text.
func until(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("the stream ends without %q: %v", text, lines.Err())
}

func TestThePageShowsTheServerToItsUser(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.UI.Listen = "127.0.0.1:0" })
	for mode, args := range map[string][]string{"proxy": nil, "server": {"--on-server"}} {
		t.Run(mode, func(t *testing.T) {
			link, stop := command(t, append(args, "--kubeconfig", server.Kubeconfig)...)
			v := visitor.Open(t, link, authorities(server.Config))
			var who struct {
				User, Server, Version, Mode string
				Groups                      []string
			}
			if _, body := v.Send(t, http.MethodGet, "/ui/whoami", "", nil); json.Unmarshal([]byte(body), &who) != nil ||
				who.User != "gatehouse-admin" || len(who.Groups) != 2 || who.Mode != mode || who.Version == "" || !strings.HasPrefix(who.Server, "https://127.0.0.1:") {
				t.Errorf("the user is %s", body)
			}
			if response, body := v.Send(t, http.MethodGet, "/ui/", "", nil); response.StatusCode != http.StatusOK || !strings.Contains(body, "<html") {
				t.Errorf("the page is %s %s", response.Status, body)
			}
			lines, response := v.Follow(t, "watch="+hosts+"&watch=/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces&watch=/apis/example.com/v1/absent")
			if response.StatusCode != http.StatusOK {
				t.Fatal(response.Status)
			}
			until(t, lines, `"code":404`)
			host := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "seen-by-" + mode}}
			if _, err := versioned.NewForConfigOrDie(server.Config).FleetV1alpha1().Hosts().Create(t.Context(), host, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			until(t, lines, `"name":"seen-by-`+mode+`"`)
			if response, body := v.Send(t, http.MethodGet, "/ui/api"+hosts, "", nil); response.StatusCode != http.StatusOK || !strings.Contains(body, "seen-by-"+mode) {
				t.Errorf("the hosts are %s %s", response.Status, body)
			}
			if code := stop(); code != 0 {
				t.Errorf("the command ends with %d", code)
			}
			if mode == "proxy" {
				until(t, lines, `{"end":"kubectl gatehouse ui was stopped`)
			}
		})
	}
}

func TestWhatIsWrongWithTheCommandIsSaid(t *testing.T) {
	server := servertesting.Start(t)
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"an address that others reach", "--address=0.0.0.0 is no loopback address", []string{"--address=0.0.0.0"}},
		{"a port that is none", "--port=70000", []string{"--port=70000"}},
		{"a server without a page", "start it with --ui-listen", []string{"--on-server"}},
		{"flags of the other page", "leave them out with --on-server", []string{"--on-server", "--port=1"}},
		{"a server that is down", "refuses connections", []string{"--server=https://127.0.0.1:1"}},
		{"a user that is unknown", "Unauthorized", []string{"--kubeconfig", unknown(t, server.Config)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, said strings.Builder
			code := plugin.Execute(t.Context(), append([]string{"ui", "--kubeconfig", server.Kubeconfig}, c.args...), plugin.Streams{Out: &out, Err: &said})
			if code != 1 || !strings.Contains(said.String(), c.says) || strings.Contains(out.String(), "secret=") {
				t.Errorf("code %d: %s%s", code, out.String(), said.String())
			}
		})
	}
}

// unknown returns a kubeconfig with a token that the server does not know.
func unknown(t *testing.T, config *rest.Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	content := clientcmdapi.NewConfig()
	content.Clusters["a"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	content.AuthInfos["a"] = &clientcmdapi.AuthInfo{Token: "unknown"}
	content.Contexts["a"] = &clientcmdapi.Context{Cluster: "a", AuthInfo: "a"}
	content.CurrentContext = "a"
	if err := clientcmd.WriteToFile(*content, file); err != nil {
		t.Fatal(err)
	}
	return file
}
