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

package failover

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
)

// kubeconfig returns a file with these servers.
func kubeconfig(t *testing.T, urls []string, authority []byte) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://replaced:1", CertificateAuthorityData: authority}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "secret"}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	data, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = ExtendKubeconfig(data, urls); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAKubeconfigHasAListOfServers(t *testing.T) {
	for _, urls := range [][]string{
		{"https://a:1"},
		{"https://a:1", "https://b.example.com", "https://[::1]:6443"},
	} {
		path := kubeconfig(t, urls, nil)
		config, servers, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(urls) == 1 && servers != nil || len(urls) > 1 && servers.String() != strings.Join(urls, ", ") {
			t.Errorf("servers %v, want %v", servers, urls)
		}
		// kubectl uses the first server.
		plain, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil || plain.Host != urls[0] || config.Host != urls[0] {
			t.Errorf("kubectl uses %v, %v", plain, err)
		}
		// Another program that writes the file keeps the list.
		raw, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw.Contexts["x"].Namespace = "shop"
		if err := clientcmd.WriteToFile(*raw, path); err != nil {
			t.Fatal(err)
		}
		_, again, err := ReadFile(path)
		if diff := cmp.Diff(servers.String(), again.String()); err != nil || diff != "" {
			t.Error(diff, err)
		}
	}
}

func TestAListIsReplacedByOneServer(t *testing.T) {
	cluster := &clientcmdapi.Cluster{}
	for _, urls := range [][]string{{"https://a:1", "https://b:1"}, {"https://c:1"}} {
		if err := Extend(cluster, urls); err != nil {
			t.Fatal(err)
		}
		if got, err := Of(cluster); err != nil || !slices.Equal(got, urls) {
			t.Errorf("got %v, %v, want %v", got, err, urls)
		}
	}
}

func TestListsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		urls []string
		want string
	}{
		{"one that is no URL", []string{"a:1", "https://b:1"}, "a:1: it is not the URL of a server: write it as https://gatehouse.example.com:6443"},
		{"one without TLS", []string{"https://a:1", "http://b:1"}, "http://b:1: it is not the URL of a server"},
		{"one with a path", []string{"https://a:1", "https://b:1/x"}, "https://b:1/x: one of several servers is a host and a port: leave out what follows them, as in https://b:1"},
		{"one twice", []string{"https://a", "https://A:443"}, "https://A:443: the server is listed twice: leave one out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Parse(tc.urls); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err := Extend(&clientcmdapi.Cluster{}, tc.urls); err == nil {
				t.Error("it is written")
			}
		})
	}
	for content, want := range map[string]string{
		`{"servers":"https://b:1"}`:         "extension fleet.gatehouse.dev/servers: json: cannot unmarshal string",
		`{"server":["https://b:1"]}`:        `unknown field "server": write it as {servers: [https://b.example.com:6443]}`,
		`{"servers":["https://b:1","b:2"]}`: "extension fleet.gatehouse.dev/servers: b:2: it is not the URL of a server",
		`{"servers":["https://a:1"]}`:       "https://a:1: the server is listed twice",
	} {
		raw := clientcmdapi.NewConfig()
		raw.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://a:1", Extensions: map[string]runtime.Object{Extension: &runtime.Unknown{Raw: []byte(content), ContentType: runtime.ContentTypeJSON}}}
		raw.Contexts["x"] = &clientcmdapi.Context{Cluster: "c"}
		raw.CurrentContext = "x"
		data, err := clientcmd.Write(*raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", content, err, want)
		}
	}
}

// TestEveryServerIsVerifiedByItsOwnURL has a server whose certificate lacks the name in its URL.
func TestEveryServerIsVerifiedByItsOwnURL(t *testing.T) {
	var authorities []byte
	start := func(name string) *url.URL {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" "+r.Header.Get("Authorization")+" "+r.Host)
		}))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		authorities = append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...)
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	misnamed, right := start("misnamed"), start("right")
	misnamed.Host = "localhost:" + misnamed.Port()
	get := func(servers Servers, serverName string) (string, error) {
		config, _, err := ReadFile(kubeconfig(t, []string{servers[0].String()}, authorities))
		if err != nil {
			t.Fatal(err)
		}
		config.ServerName = serverName
		balancer := newBalancer(servers, clock.RealClock{})
		config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return balancer.Transport(inner) })
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(config.Host)
		if err != nil {
			return "", err
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		return string(content), err
	}
	if got, err := get(Servers{misnamed, right}, ""); err != nil || got != "right Bearer secret "+right.Host {
		t.Errorf("got %q, %v", got, err)
	}
	want := misnamed.Host + ": tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not localhost: start this server with --tls-san localhost, or list it by a name in its certificate"
	if _, err := get(Servers{misnamed, {Scheme: "https", Host: "127.0.0.1:1"}}, ""); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	// tls-server-name of the kubeconfig is the name of all of them.
	if got, err := get(Servers{misnamed, right}, "example.com"); err != nil || !strings.HasPrefix(got, "misnamed ") {
		t.Errorf("got %q, %v", got, err)
	}
}
