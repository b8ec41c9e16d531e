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

package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// loneName is the name under which the first member of a cluster has created its data.
const loneName = "gatehouse"

// Member is the etcd of this server as a member of a cluster, before it starts.
type Member struct {
	// Trust has the certificates for peers; nil in the aggregated mode.
	Trust *embedded.PeerTLS
	// Joined is what the cluster has answered in this start; nil without a join.
	Joined *cluster.Joined
	state  *cluster.State
}

// Config returns the configuration of etcd; nil for a lone member.
func (m *Member) Config() *embedded.Member { return m.state.Member() }

// PrepareMember joins a cluster if the flags ask for it, and returns what etcd needs to know of its peers. The
// caller holds the lock of the data directory. The options get the encryption configuration of the cluster, if a
// flag names none.
func PrepareMember(ctx context.Context, o options.CompletedOptions) (*Member, error) {
	if o.Aggregated() || !o.EmbeddedEtcd() {
		return &Member{}, nil
	}
	m := &Member{}
	var err error
	if o.Etcd.Member.Join != "" {
		if m.Joined, err = join(ctx, o); err != nil {
			return nil, err
		}
		if m.Joined == nil {
			klog.Info("--join and --token have no effect: this data directory is a member already")
		}
	}
	if m.state, err = cluster.Load(o.DataDir); err != nil {
		return nil, err
	}
	if err := m.move(o); err != nil {
		return nil, err
	}
	files, err := certificates.EnsurePeer(o.CertificateDir(), m.hosts(), time.Now())
	if err != nil {
		return nil, err
	}
	m.Trust = &embedded.PeerTLS{CAFile: files.CAFile, CertFile: files.CertFile, KeyFile: files.KeyFile, CommonName: certificates.PeerCommonName}
	shared := filepath.Join(o.DataDir, cluster.EncryptionName)
	if _, err := os.Stat(shared); err == nil && o.Etcd.EncryptionProviderConfigFilepath == "" {
		o.Etcd.EncryptionProviderConfigFilepath = shared
	}
	return m, nil
}

// Started records that a joiner votes, so that later starts do not depend on who was a member now.
func (m *Member) Started(dataDir string) error {
	if m.state == nil || !m.state.Joining() {
		return nil
	}
	m.state.Peers = nil
	return m.state.Save(dataDir)
}

func join(ctx context.Context, o options.CompletedOptions) (*cluster.Joined, error) {
	token, err := cluster.ParseToken(o.Etcd.Member.Token)
	if err != nil {
		return nil, fmt.Errorf("--token: %w", err)
	}
	name := o.Etcd.Member.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("this machine has no name (%w): give the member one with --member-name", err)
		}
		name = strings.ToLower(host)
	}
	return cluster.Joiner{
		URL: o.Etcd.Member.Join, Token: token, DataDir: o.DataDir, CertificateDir: o.CertificateDir(), EtcdDir: o.EtcdDir(),
		Name: name, PeerURL: o.Etcd.Member.PeerURL, PeerListen: o.Etcd.Member.Listen,
	}.Join(ctx)
}

// move changes the addresses of a member to those of the flags. Its name is for life.
func (m *Member) move(o options.CompletedOptions) error {
	if m.state == nil {
		return nil
	}
	wanted, before := o.Etcd.Member, *m.state
	if wanted.Name != "" && wanted.Name != m.state.Name {
		return fmt.Errorf("--member-name=%s: the member has the name %s, which cannot change: leave the flag out", wanted.Name, m.state.Name)
	}
	if u, err := url.Parse(wanted.PeerURL); err == nil && wanted.PeerURL != "" && u.Port() != "0" {
		m.state.PeerURL = wanted.PeerURL
	}
	if wanted.Listen != "" {
		m.state.PeerListen = wanted.Listen
	}
	if m.state.PeerURL == before.PeerURL && m.state.PeerListen == before.PeerListen {
		return nil
	}
	return m.state.Save(o.DataDir)
}

// hosts returns the host of the URL for peers, for the certificate.
func (m *Member) hosts() []string {
	if m.state == nil {
		return nil
	}
	u, err := url.Parse(m.state.PeerURL)
	if err != nil {
		return nil
	}
	return []string{u.Hostname()}
}

// membership serves the paths of membership; its cluster is nil with an external etcd.
type membership struct{ cluster *cluster.Cluster }

func newMembership(ctx context.Context, in Inputs) (membership, error) {
	if in.Local == nil {
		return membership{}, nil
	}
	state, err := in.firstMember()
	if err != nil {
		return membership{}, err
	}
	found := cluster.New(ctx, cluster.Config{
		Local: in.Local, DataDir: in.DataDir, CertificateDir: in.CertificateDir(), State: state,
		Pin: in.pin, SigningKey: in.Callers.Accounts.SigningKeyFile == "", EncryptionFile: in.Etcd.EncryptionProviderConfigFilepath,
		ReplaceDeadAfter: in.Etcd.Member.ReplaceDeadAfter,
		Renew: func(hosts []string) error {
			_, err := certificates.EnsurePeer(in.CertificateDir(), hosts, time.Now())
			return err
		},
	})
	go found.Run(ctx)
	return membership{found}, nil
}

// firstMember returns the state of a lone member once it gets peers.
func (in Inputs) firstMember() (cluster.State, error) {
	wanted := in.Etcd.Member
	state := cluster.State{Name: wanted.Name, PeerURL: wanted.PeerURL, PeerListen: wanted.Listen}
	if state.Name == "" {
		state.Name = loneName
	}
	if state.PeerURL == "" {
		host, _, err := net.SplitHostPort(in.joinAddress())
		if err != nil {
			return state, err
		}
		state.PeerURL = fmt.Sprintf("https://%s", net.JoinHostPort(host, fmt.Sprint(cluster.DefaultPeerPort)))
	}
	return state, nil
}

// joinAddress returns the address of this server for other machines: the one on which it listens, and for one
// that listens on all addresses the given name, or the first address of the machine.
func (in Inputs) joinAddress() string {
	host, port, err := net.SplitHostPort(in.Listener.Addr().String())
	if err != nil {
		return ""
	}
	if changing := in.Serving.ChangingNames(); changing != nil {
		host = "127.0.0.1"
		for _, name := range changing() {
			if net.ParseIP(name) != nil {
				host = name
				break
			}
		}
	}
	if in.ServerRun.ExternalHost != "" {
		host = in.ServerRun.ExternalHost
	}
	return net.JoinHostPort(host, port)
}

// pin returns what a joiner needs to verify this server.
func (in Inputs) pin() ([]byte, error) {
	file := in.Certificates.ServingCertFile
	if !in.Serving.OwnCertificate() {
		file = in.Serving.ServerCert.CertKey.CertFile
	}
	serving, err := cert.CertsFromFile(file)
	if err != nil {
		return nil, err
	}
	return cluster.PinOf(in.Certificates.CA.Cert, serving[0]), nil
}

// replicaIdentity returns the identity of this server in elections: that of its member, which survives a restart,
// so that it does not wait for the end of its own lease.
func (in Inputs) replicaIdentity() string {
	if in.Local != nil && in.Local.Clustered() {
		return fmt.Sprintf("gatehouse-member-%x", in.Local.ID())
	}
	return in.ReplicaIdentity()
}

// invitations authenticates joiners; nil for none.
func (m membership) invitations() authenticator.Token {
	if m.cluster == nil {
		return nil
	}
	return m.cluster
}

// paths installs the paths of membership after others.
func (m membership) paths(in Inputs, before func(*genericapiserver.GenericAPIServer) error) func(*genericapiserver.GenericAPIServer) error {
	return func(server *genericapiserver.GenericAPIServer) error {
		handler := cluster.External()
		if m.cluster != nil {
			handler = m.cluster.Handler("https://" + in.joinAddress())
		}
		server.Handler.NonGoRestfulMux.UnlistedHandlePrefix(cluster.PathPrefix, handler)
		return before(server)
	}
}
