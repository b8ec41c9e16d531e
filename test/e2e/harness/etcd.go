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

package harness

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// EtcdMember is a process of etcd.
type EtcdMember struct {
	*Process
	// URL is its address for clients.
	URL string
}

// StartEtcd starts an etcd of as many members as there are names. With an authority they serve clients only by
// TLS and require client certificates of that authority. Stop stops them.
func (c *Cluster) StartEtcd(tls *Authority, names ...string) ([]EtcdMember, error) {
	scheme := "http"
	if tls != nil {
		scheme = "https"
	}
	var members []EtcdMember
	var peers, cluster []string
	for _, name := range names {
		client, err := kit.FreePort()
		if err != nil {
			return nil, err
		}
		peer, err := kit.FreePort()
		if err != nil {
			return nil, err
		}
		members = append(members, EtcdMember{URL: fmt.Sprintf("%s://127.0.0.1:%d", scheme, client)})
		peers = append(peers, fmt.Sprintf("http://127.0.0.1:%d", peer))
		cluster = append(cluster, name+"="+peers[len(peers)-1])
	}
	for i, name := range names {
		args := []string{"--name", name, "--data-dir", filepath.Join(c.Dir, name), "--log-level", "warn"}
		if tls != nil {
			pair, err := tls.Issue(name, name, nil, "127.0.0.1", "localhost")
			if err != nil {
				return nil, err
			}
			args = append(args, "--cert-file", pair.Cert, "--key-file", pair.Key, "--trusted-ca-file", tls.CertFile(), "--client-cert-auth")
		}
		args = append(args,
			"--listen-client-urls", members[i].URL, "--advertise-client-urls", members[i].URL,
			"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i], "--initial-cluster", strings.Join(cluster, ","))
		var err error
		if members[i].Process, err = c.run(name, c.Binaries.Etcd, args...); err != nil {
			return nil, err
		}
	}
	return members, nil
}
