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

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// Limits of the log of a member of a cluster. A member that was away for fewer writes than clusterEntries
// reads them from the log of another, and after more writes it receives the whole database.
const (
	clusterLogFiles = 5
	clusterEntries  = 5000
)

// PeerTLS has the files by which members authenticate each other. They are read again for each connection,
// except the authority.
type PeerTLS struct {
	CAFile, CertFile, KeyFile string
	// CommonName is the only name that is accepted in certificates of peers.
	CommonName string
}

func (p *PeerTLS) info() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: p.CertFile, KeyFile: p.KeyFile, TrustedCAFile: p.CAFile, ClientCertAuth: true, AllowedCNs: []string{p.CommonName},
	}
}

// Member describes a member of a cluster.
type Member struct {
	// Name is unique in the cluster.
	Name string
	// PeerURL is the address at which other members reach this one, such as https://10.0.0.1:6444.
	PeerURL string
	// Listen is the address of the peer listener, such as 10.0.0.1:6444; empty for that of PeerURL.
	Listen string
	// Peers are the URLs of the other members, which the first start of a joiner needs; nil later.
	Peers []string
}

// validate returns an error for what is missing.
func (m *Member) validate(trust *PeerTLS) error {
	u, err := url.Parse(m.PeerURL)
	switch {
	case trust == nil:
		return errors.New("a member of a cluster needs certificates for its peers: set PeerTLS")
	case m.Name == "":
		return errors.New("a member of a cluster needs a name: set Name")
	case err != nil || u.Scheme != "https" || u.Port() == "" || u.Path != "":
		return fmt.Errorf("%q is not the URL of a peer: write it as https://10.0.0.1:6444", m.PeerURL)
	}
	return nil
}

// listenAddress returns the address of the peer listener.
func (m *Member) listenAddress() string {
	if m.Listen != "" {
		return m.Listen
	}
	_, address, _ := strings.Cut(m.PeerURL, "://")
	return address
}

// mayDiscard reports whether leftovers of a first start may be removed: those of a member that has never voted.
func (m *Member) mayDiscard() bool { return m == nil || len(m.Peers) > 0 }

// ofCluster configures a member of a cluster. It listens neither for peers nor for clients itself: see
// servePeers and serveClients. What is about the first start is ignored later.
func ofCluster(config *embed.Config, m *Member) {
	address, _ := url.Parse(m.PeerURL) // validate has parsed it
	config.Name = m.Name
	config.ClusterState = embed.ClusterStateFlagExisting
	config.ListenPeerUrls, config.ListenClientUrls = nil, nil
	config.AdvertisePeerUrls = []url.URL{*address}
	// Members reach each other's API of etcd at the same port: see pipe.
	config.AdvertiseClientUrls = []url.URL{*address}
	// Of the other members only the URLs matter: etcd reads names and IDs from one of them.
	initial := []string{m.Name + "=" + m.PeerURL}
	for i, peer := range m.Peers {
		initial = append(initial, fmt.Sprintf("%s-peer%d=%s", m.Name, i, peer))
	}
	config.InitialCluster = strings.Join(initial, ",")
	checkPeersData(config)
	config.MaxWalFiles = clusterLogFiles
	config.SnapshotCatchUpEntries = clusterEntries
}

// checkPeersData makes etcd compare its data with that of the others: before it serves, and after each compaction.
// A difference ends the start, or sets an alarm.
func checkPeersData(config *embed.Config) {
	if gate, ok := config.ServerFeatureGate.(interface{ Set(string) error }); ok {
		_ = gate.Set("InitialCorruptCheck=true,CompactHashCheck=true") // both exist
	}
}

// Clustered reports whether the member has, or can have, peers.
func (s *Server) Clustered() bool { return s.current() != nil }

// current returns the member of a cluster; nil while it is alone.
func (s *Server) current() *Member {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	return s.member
}

// MemberName returns the name of the member in its cluster; empty for a lone member.
func (s *Server) MemberName() string {
	if m := s.current(); m != nil {
		return m.Name
	}
	return ""
}

// ID returns the ID of the member, and ClusterID that of its cluster.
func (s *Server) ID() uint64 { return uint64(s.etcd.Server.MemberID()) }

// ClusterID returns the ID of the cluster, which a restored backup does not share.
func (s *Server) ClusterID() uint64 { return uint64(s.etcd.Server.Cluster().ID()) }

// IsLeader reports whether the member is the leader.
func (s *Server) IsLeader() bool {
	leader := s.etcd.Server.Leader()
	return leader != 0 && leader == s.etcd.Server.MemberID()
}

// HasVersion reports whether the cluster has decided which version of etcd it has, a moment after its first start.
// Until then, etcd refuses a joiner as incompatible.
func (s *Server) HasVersion() bool { return s.etcd.Server.ClusterVersion() != nil }

// Reserve opens the listener of a member that is not started yet, to find out that the address is free, and
// returns the address with its port.
func Reserve(address string) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	found := listener.Addr().String()
	return found, listener.Close()
}

// Grow makes a lone member one that can have peers, while it runs: it opens the peer listener, publishes its
// URL, and connects its clients by gRPC. Watches of clients in this process end, and resume. record is called
// when the listener is open, with the address of the listener, and keeps the member for later starts.
func (s *Server) Grow(ctx context.Context, m Member, record func() error) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	if s.Clustered() {
		return nil
	}
	if s.trust == nil {
		return errors.New("this server has no certificates for peers")
	}
	if err := m.validate(s.trust); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", m.listenAddress())
	if err != nil {
		return fmt.Errorf("listening for peers: %w", err)
	}
	if err := s.servePeers(listener, s.etcd); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := record(); err != nil {
		s.closePeers()
		return err
	}
	if err := s.publishURL(ctx, s.etcd, m.PeerURL); err != nil {
		// The record stays: the next start publishes the URL.
		return fmt.Errorf("publishing the address for peers: %w", err)
	}
	s.peersMu.Lock()
	s.member = &m
	s.peersMu.Unlock()
	s.endLone()
	return nil
}

// publishURL changes the URL of this member in the cluster, if it differs.
func (s *Server) publishURL(ctx context.Context, etcd *embed.Etcd, peerURL string) error {
	self := etcd.Server.MemberID()
	current := etcd.Server.Cluster().Member(self)
	if current == nil || len(current.PeerURLs) == 1 && current.PeerURLs[0] == peerURL {
		return nil
	}
	updated := *current
	updated.PeerURLs = []string{peerURL}
	_, err := etcd.Server.UpdateMember(ctx, updated)
	return err
}

// stopped returns the failure of an etcd that has stopped by itself.
func (s *Server) stopped() error { return s.unlessRemoved(errors.New("it stopped by itself")) }

// unlessRemoved returns another error if the cluster has removed the member, which ends it.
func (s *Server) unlessRemoved(err error) error {
	cluster, ok := s.etcd.Server.Cluster().(interface{ IsIDRemoved(types.ID) bool })
	if ok && cluster.IsIDRemoved(s.etcd.Server.MemberID()) || mentions(err, "permanently removed") {
		return removed(s.dir)
	}
	if s.Clustered() {
		if refused := s.checkPeers(context.Background(), s.etcd, nil); refused != nil {
			return refused
		}
	}
	return err
}

// remoteConfig is the configuration of a client by gRPC, over the socket.
func (s *Server) remoteConfig() clientv3.Config {
	return clientv3.Config{
		Endpoints: s.Endpoints(), DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		// By default, a client sends at most 2 MiB.
		MaxCallSendMsgSize: int(s.maxRequestBytes) + 512<<10,
		Logger:             clientLogger,
	}
}
