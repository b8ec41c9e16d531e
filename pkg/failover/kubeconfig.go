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
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Extension is the name of the extension of a cluster in a kubeconfig that has the further servers of the API.
const Extension = v1alpha1.GroupName + "/servers"

// extension is the content of the extension.
type extension struct {
	// Servers are the URLs of the servers besides the field server of the cluster.
	Servers []string `json:"servers"`
}

// Servers are the URLs at which clients reach one API, in the order in which they are tried.
type Servers []*url.URL

// String returns the URLs in one line.
func (s Servers) String() string {
	texts := make([]string, 0, len(s))
	for _, u := range s {
		texts = append(texts, u.String())
	}
	return strings.Join(texts, ", ")
}

// Names returns the URLs for messages: that of the configuration without a list.
func (s Servers) Names(config *rest.Config) string {
	if len(s) == 0 {
		return config.Host
	}
	return s.String()
}

// Parse returns the servers with the URLs. An error names the URL, and what a URL must be.
func Parse(urls []string) (Servers, error) {
	var servers Servers
	for _, text := range urls {
		server, err := url.Parse(text)
		if err != nil || server.Scheme != "https" || server.Hostname() == "" {
			return nil, fmt.Errorf("%s: it is not the URL of a server: write it as https://gatehouse.example.com:6443", text)
		}
		if len(urls) > 1 && (strings.Trim(server.Path, "/") != "" || server.RawQuery != "" || server.Fragment != "" || server.User != nil) {
			return nil, fmt.Errorf("%s: one of several servers is a host and a port: leave out what follows them, as in https://%s", text, server.Host)
		}
		if slices.ContainsFunc(servers, func(other *url.URL) bool { return strings.EqualFold(address(other), address(server)) }) {
			return nil, fmt.Errorf("%s: the server is listed twice: leave one out", text)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// address returns the host and the port of a URL.
func address(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":443"
	}
	return u.Host
}

// Extend sets the servers of a cluster: the field server is the first, and the extension has the others.
func Extend(cluster *clientcmdapi.Cluster, urls []string) error {
	if _, err := Parse(urls); err != nil {
		return err
	}
	if len(urls) == 0 {
		return nil
	}
	cluster.Server = urls[0]
	delete(cluster.Extensions, Extension)
	if len(urls) == 1 {
		return nil
	}
	content, err := json.Marshal(extension{Servers: urls[1:]})
	if err != nil {
		return err
	}
	if cluster.Extensions == nil {
		cluster.Extensions = map[string]runtime.Object{}
	}
	cluster.Extensions[Extension] = &runtime.Unknown{Raw: content, ContentType: runtime.ContentTypeJSON}
	return nil
}

// ExtendKubeconfig sets the servers of the current context in a kubeconfig.
func ExtendKubeconfig(kubeconfig []byte, urls []string) ([]byte, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, err
	}
	cluster := currentCluster(config)
	if cluster == nil {
		return nil, errors.New("the kubeconfig has no cluster in its current context")
	}
	if err := Extend(cluster, urls); err != nil {
		return nil, err
	}
	return clientcmd.Write(*config)
}

// Of returns the URLs of all servers of a cluster, the field server first.
func Of(cluster *clientcmdapi.Cluster) ([]string, error) {
	urls := []string{cluster.Server}
	found := cluster.Extensions[Extension]
	if found == nil {
		return urls, nil
	}
	unknown, ok := found.(*runtime.Unknown)
	if !ok {
		return nil, fmt.Errorf("extension %s is a %T", Extension, found)
	}
	var content extension
	decoder := json.NewDecoder(strings.NewReader(string(unknown.Raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&content); err != nil {
		return nil, fmt.Errorf("extension %s: %w: write it as {servers: [https://b.example.com:6443]}", Extension, err)
	}
	return append(urls, content.Servers...), nil
}

func currentCluster(config *clientcmdapi.Config) *clientcmdapi.Cluster {
	current := config.Contexts[config.CurrentContext]
	if current == nil {
		return nil
	}
	return config.Clusters[current.Cluster]
}

// Read returns the client configuration of the current context in a kubeconfig, and its servers. The
// configuration has only the first of them, until Apply is called.
func Read(kubeconfig []byte) (*rest.Config, Servers, error) {
	raw, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	return read(*raw)
}

func read(raw clientcmdapi.Config) (*rest.Config, Servers, error) {
	config, err := clientcmd.NewDefaultClientConfig(raw, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, nil, err
	}
	cluster := currentCluster(&raw)
	if cluster == nil {
		return config, nil, nil
	}
	urls, err := Of(cluster)
	if err != nil || len(urls) == 1 {
		return config, nil, err
	}
	servers, err := Parse(urls)
	if err != nil {
		return nil, nil, fmt.Errorf("extension %s: %w", Extension, err)
	}
	return config, servers, nil
}

// ReadFile is Read of a file; relative paths in it are relative to its directory.
func ReadFile(path string) (*rest.Config, Servers, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, nil, err
	}
	raw, err := (&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}).Load()
	if err != nil {
		return nil, nil, err
	}
	return read(*raw)
}

// Load returns the client configuration of a kubeconfig file, with failover if it lists several servers.
func Load(path string) (*rest.Config, error) {
	config, servers, err := ReadFile(path)
	if err == nil {
		servers.Apply(config)
	}
	return config, err
}

// Apply lets clients of the configuration, and of copies of it, use all of the servers. They share what is known
// about the servers. Without a second server nothing changes.
func (s Servers) Apply(config *rest.Config) {
	if len(s) < 2 {
		return
	}
	balancer := New(s)
	config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return balancer.Transport(inner) })
}
