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
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// identityPath is the path at which a member names itself and its cluster to peers.
	identityPath = "/gatehouse/identity"
	// grpcProtocol is negotiated by clients that use etcd's API at the peer port.
	grpcProtocol = "h2"
	// peerReadTimeout is etcd's own: a snapshot takes minutes on a slow network.
	peerReadTimeout = 5 * time.Minute
)

// peering is the part of a Server that has peers, or may have them later.
type peering struct {
	trust *PeerTLS
	// growing is held while a lone member gets its listener.
	growing sync.Mutex
	// lone ends when the member is no longer alone, and endLone ends it.
	lone    context.Context
	endLone context.CancelFunc

	peersMu sync.Mutex
	// member is nil while the member is alone.
	member  *Member
	peers   net.Listener
	server  *http.Server
	clients *grpc.Server
}

func newPeering(c *completed) peering {
	lone, end := context.WithCancel(context.Background())
	if c.Member != nil {
		end()
	}
	return peering{trust: c.PeerTLS, lone: lone, endLone: end, member: c.Member}
}

// checkListen finds out whether the address for peers is free, before anything else happens. The listener is opened
// when etcd can serve it: members that start at the same time compare their data, and would wait for each other.
func checkListen(c *completed) error {
	if c.Member == nil {
		return nil
	}
	listener, err := listen(c.Member)
	if err != nil {
		return err
	}
	return listener.Close()
}

func listen(m *Member) (net.Listener, error) {
	listener, err := net.Listen("tcp", m.listenAddress())
	if err != nil {
		return nil, fmt.Errorf("--peer-url, --peer-listen: listening for the other members of etcd: %w: name an address of this machine and a free port", err)
	}
	return listener, nil
}

// identity is the response at identityPath.
type identity struct {
	ClusterID string `json:"clusterID"`
	// Members are the IDs of the members that the member lists.
	Members []string `json:"members"`
}

func identityOf(etcd *embed.Etcd) identity {
	cluster := etcd.Server.Cluster()
	found := identity{ClusterID: cluster.ID().String()}
	for _, member := range cluster.Members() {
		found.Members = append(found.Members, member.ID.String())
	}
	return found
}

// servePeers serves the other members: etcd's own paths, its metrics, and its API for clients. All of them need
// a certificate of a member.
func (s *Server) servePeers(listener net.Listener, etcd *embed.Etcd) error {
	config, err := s.trust.info().ServerConfig()
	if err != nil {
		return problemOf(s.dir, fmt.Errorf("the certificates for peers: %w", err))
	}
	config.NextProtos = []string{grpcProtocol, "http/1.1"}
	mux := http.NewServeMux()
	mux.Handle("/", etcdhttp.NewPeerHandler(etcd.GetLogger(), etcd.Server))
	mux.HandleFunc(identityPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(identityOf(etcd))
	})
	etcdhttp.HandleMetrics(mux)
	server := &http.Server{
		Handler: mux, TLSConfig: config, ReadTimeout: peerReadTimeout, ErrorLog: log.New(io.Discard, "", 0),
		// The protocol of the entry is not HTTP for this server: the connection is piped.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){
			grpcProtocol: func(_ *http.Server, conn *tls.Conn, _ http.Handler) { s.pipe(conn) },
		},
	}
	s.peersMu.Lock()
	s.peers, s.server = listener, server
	s.peersMu.Unlock()
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serving peers: %w", err))
		}
	}()
	return nil
}

// pipe connects a member to the socket for clients.
func (s *Server) pipe(conn *tls.Conn) {
	defer conn.Close()
	local, err := net.Dial("unix", s.socket.path)
	if err != nil {
		return
	}
	defer local.Close()
	done := make(chan struct{}, 2)
	carry := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	_ = conn.SetDeadline(time.Time{})
	go carry(local, conn)
	go carry(conn, local)
	<-done
}

// serveClients serves etcd's API on the socket. etcd would do so itself only once it has published its
// attributes, for which a learner waits 7 s.
func (s *Server) serveClients(etcd *embed.Etcd) error {
	if err := os.Remove(s.socket.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", s.socket.path)
	if err != nil {
		return err
	}
	server := v3rpc.Server(etcd.Server, nil, nil, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: embed.DefaultGRPCKeepAliveMinTime}))
	s.peersMu.Lock()
	s.clients = server
	s.peersMu.Unlock()
	go func() {
		if err := server.Serve(listener); err != nil {
			s.fail(fmt.Errorf("serving clients: %w", err))
		}
	}()
	return nil
}

// closeClients ends the requests of clients of a member of a cluster.
func (s *Server) closeClients() {
	s.peersMu.Lock()
	server := s.clients
	s.peersMu.Unlock()
	if server != nil {
		server.Stop()
	}
}

// closePeers stops serving peers.
func (s *Server) closePeers() {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	if s.server != nil {
		_ = s.server.Close()
		s.server = nil
	}
	if s.peers != nil {
		_ = s.peers.Close()
		s.peers = nil
	}
}
