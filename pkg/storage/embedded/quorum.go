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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
)

const (
	// promotionRetry is the interval between two requests for the promotion of a learner.
	promotionRetry = 50 * time.Millisecond
	// readTimeout bounds one attempt of a linearizable read.
	readTimeout = time.Second
	// peerCheckAfter is the time without a quorum after which the other members are asked for their cluster, and
	// the interval from then on.
	peerCheckAfter = 2 * time.Second
)

// awaitQuorum serves peers, and waits until the member is a voter that completes a linearizable read. It does
// not wait for etcd's ReadyNotify: a joiner publishes its attributes before it has a leader, and tries again
// after 7 s only.
//
// A learner promotes itself: it is the one that waits, and the leader decides whether it has caught up. So a
// learner that is killed continues when it starts again, whichever server has invited it.
func (s *Server) awaitQuorum(ctx context.Context, etcd *embed.Etcd, c *completed) error {
	listener, err := listen(c.Member)
	if err != nil {
		return err
	}
	if err := s.servePeers(listener, etcd); err != nil {
		return errors.Join(err, listener.Close())
	}
	checked := time.Now()
	reminded := checked
	for {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isStopped(etcd.Server):
			// The others refuse a member that they have removed, which ends it.
			if err := s.checkPeers(context.WithoutCancel(ctx), etcd, c.Member.Peers); err != nil {
				return err
			}
			return errors.New("it stopped before it was ready")
		case isOnlyVoter(etcd.Server) && etcd.Server.Leader() == 0:
			elect(ctx, etcd.Server)
		case !reads(ctx, etcd.Server):
			pause(ctx, etcd.Server)
		// Only after a read the member knows what it is: before, it applies the log from its beginning.
		case etcd.Server.IsLearner():
			s.promote(ctx, etcd.Server)
		default:
			return s.joined(ctx, etcd, c)
		}
		if time.Since(checked) > peerCheckAfter {
			if err := s.checkPeers(ctx, etcd, c.Member.Peers); err != nil {
				return err
			}
			checked = time.Now()
		}
		if time.Since(reminded) > stillStarting {
			s.log.Info("Waiting for a majority of the members of etcd: start the others, or, if the cluster was restored from a backup, stop this server and run \"gatehouse member reset\"", "severity", "warn", "members", len(etcd.Server.Cluster().Members()))
			reminded = time.Now()
		}
	}
}

// joined publishes a changed URL and serves clients.
func (s *Server) joined(ctx context.Context, etcd *embed.Etcd, c *completed) error {
	if err := s.publishURL(ctx, etcd, c.Member.PeerURL); err != nil {
		return fmt.Errorf("publishing the address for peers: %w", err)
	}
	return s.serveClients(etcd)
}

// promote asks the leader to make this learner a voter.
func (s *Server) promote(ctx context.Context, server *etcdserver.EtcdServer) {
	asking, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if _, err := server.PromoteMember(asking, uint64(server.MemberID())); err == nil {
		return
	}
	pause(ctx, server)
}

func pause(ctx context.Context, server *etcdserver.EtcdServer) {
	retry := time.NewTimer(promotionRetry)
	defer retry.Stop()
	select {
	case <-retry.C:
	case <-server.StopNotify():
	case <-ctx.Done():
	}
}

// reads reports whether a linearizable read succeeds.
func reads(ctx context.Context, server *etcdserver.EtcdServer) bool {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return server.LinearizableReadNotify(reading) == nil
}

// isOnlyVoter reports whether no other member votes.
func isOnlyVoter(server *etcdserver.EtcdServer) bool {
	voters, self := 0, false
	for _, member := range server.Cluster().Members() {
		if !member.IsLearner {
			voters++
			self = self || member.ID == server.MemberID()
		}
	}
	return self && voters == 1
}

func isStopped(server *etcdserver.EtcdServer) bool {
	select {
	case <-server.StopNotify():
		return true
	default:
		return false
	}
}

// checkPeers returns an error if another member does not know this one, or is of another cluster. Members that
// do not respond are no error.
func (s *Server) checkPeers(ctx context.Context, etcd *embed.Etcd, more []string) error {
	config, err := s.trust.info().ClientConfig()
	if err != nil {
		return problemOf(s.dir, err)
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: readTimeout}
	ours := identityOf(etcd)
	for _, address := range otherURLs(etcd.Server.Cluster().Members(), etcd.Server, more) {
		found, err := identify(ctx, client, address)
		switch {
		case err != nil:
			s.log.V(1).Info("Member does not respond", "url", address, "err", err)
		case found.ClusterID != ours.ClusterID:
			return otherCluster(s.dir, address, found.ClusterID, ours.ClusterID)
		case !slices.Contains(found.Members, etcd.Server.MemberID().String()):
			return removed(s.dir)
		}
	}
	return nil
}

func otherURLs(members []*membership.Member, server *etcdserver.EtcdServer, more []string) []string {
	var urls []string
	for _, member := range members {
		if member.ID != server.MemberID() {
			urls = append(urls, member.PeerURLs...)
		}
	}
	for _, address := range more {
		if !slices.Contains(urls, address) {
			urls = append(urls, address)
		}
	}
	return urls
}

// identify asks a member for its cluster.
func identify(ctx context.Context, client *http.Client, address string) (identity, error) {
	var found identity
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+identityPath, nil)
	if err != nil {
		return found, err
	}
	response, err := client.Do(request)
	if err != nil {
		return found, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return found, errors.New(response.Status)
	}
	return found, json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&found)
}
