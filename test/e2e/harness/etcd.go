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
	"context"
	"fmt"
	"os"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

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
		if err := c.runEtcd(&members[i], tls, name, peers[i], "--initial-cluster", strings.Join(cluster, ",")); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// AddEtcdLearner adds a member without a vote to the etcd of a client, and starts it.
func (c *Cluster) AddEtcdLearner(ctx context.Context, tls *Authority, client *clientv3.Client, name string) (EtcdMember, error) {
	ports := [2]int{}
	for i := range ports {
		var err error
		if ports[i], err = kit.FreePort(); err != nil {
			return EtcdMember{}, err
		}
	}
	m, peer := EtcdMember{URL: fmt.Sprintf("https://127.0.0.1:%d", ports[0])}, fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	added, err := client.MemberAddAsLearner(ctx, []string{peer})
	if err != nil {
		return m, err
	}
	var cluster []string
	for _, member := range added.Members {
		of := member.GetName()
		if member.GetID() == added.Member.GetID() {
			of = name
		}
		cluster = append(cluster, of+"="+member.GetPeerURLs()[0])
	}
	err = c.runEtcd(&m, tls, name, peer, "--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "existing")
	return m, err
}

// runEtcd starts the process of a member in a directory of its own: names repeat.
func (c *Cluster) runEtcd(m *EtcdMember, tls *Authority, name, peer string, args ...string) error {
	dir, err := os.MkdirTemp(c.Dir, name+"-")
	if err != nil {
		return err
	}
	args = append([]string{"--name", name, "--data-dir", dir, "--log-level", "warn"}, args...)
	if tls != nil {
		pair, err := tls.Issue(name, name, nil, "127.0.0.1", "localhost")
		if err != nil {
			return err
		}
		args = append(args, "--cert-file", pair.Cert, "--key-file", pair.Key, "--trusted-ca-file", tls.CertFile(), "--client-cert-auth")
	}
	args = append(args,
		"--listen-client-urls", m.URL, "--advertise-client-urls", m.URL,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer)
	m.Process, err = c.run(name, c.Binaries.Etcd, args...)
	return err
}
