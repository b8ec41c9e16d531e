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
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/raft/v3/raftpb"
)

// peerHost is the member's peer address, which the first start writes to the data directory. A lone
// member has no peer listener; the scheme unix keeps clients from dialling the address by accident.
const peerHost = "gatehouse:0"

// electionRetry is the interval between two checks of raft, which needs a few milliseconds to apply
// the log.
const electionRetry = time.Millisecond

// peerURL returns the member's peer address.
func peerURL() url.URL { return url.URL{Scheme: "unix", Host: peerHost} }

// withoutPeers configures a member that has no peers: it listens for none.
func withoutPeers(config *embed.Config) {
	config.ListenPeerUrls = nil
	config.AdvertisePeerUrls = []url.URL{peerURL()}
}

// elect makes a lone member leader at once. Otherwise it would wait for a leader that cannot exist,
// for a random time of up to ElectionMs: that wait is most of a cold start. Ticks of 10 ms would
// shorten it, but cost four times the idle CPU for as long as the process runs. So elect sends the
// message by which a leader tells its successor to campaign without waiting. If the message has no
// effect, the member is elected when its wait is over.
func elect(ctx context.Context, server *etcdserver.EtcdServer) {
	self := uint64(server.MemberID())
	ticker := time.NewTicker(electionRetry)
	defer ticker.Stop()
	for server.Leader() == 0 {
		if caughtUp(self) {
			message := &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: &self, To: &self}
			if err := server.Process(ctx, message); err != nil {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-server.StopNotify():
			return
		case <-ctx.Done():
			return
		}
	}
}

// caughtUp reports whether raft has recorded all committed entries as applied. Before it campaigns,
// raft reads the entries that it has not recorded as applied, and panics if they are gone; etcd
// drops entries from memory a moment before it reports them to raft as applied. etcd's own indexes
// do not show that moment.
func caughtUp(self uint64) bool {
	status, ok := publishedStatus(self)
	return ok && status.Applied >= status.GetCommit()
}
