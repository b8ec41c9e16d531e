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
	"expvar"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// electionRetry is the pause between two looks at raft. It needs a few milliseconds to apply
// what the log holds.
const electionRetry = time.Millisecond

// elect makes the lone member its own leader at once. Left alone it would wait for a leader that
// cannot exist, for a random time of up to ElectionMs: that wait is most of a cold start. Ticks of
// 10 ms would shorten it, but then tick for as long as the process lives, at four times the idle
// CPU. So the member gets the message that a leader sends to the successor of its choice, which
// is to campaign without waiting. If it never comes to that, the member is elected when its wait
// is over.
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

// caughtUp tells whether raft knows that all it had committed is applied. Before it campaigns,
// raft looks through the entries that it does not know to be applied, and panics when they are
// gone; etcd drops entries from memory a moment before it tells raft that they are applied. The
// indexes that etcd shows are its own and blind to that moment.
//
// Raft's are in a variable that etcd publishes for the whole process. When it is about another
// member, because a test runs several, the answer is no.
func caughtUp(self uint64) bool {
	published, ok := expvar.Get("raft.status").(expvar.Func)
	if !ok {
		return false
	}
	status, ok := published.Value().(raft.Status)
	return ok && status.ID == self && status.Applied >= status.GetCommit()
}
