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
	"expvar"

	"go.etcd.io/raft/v3"
)

// Progress is what the leader has seen of a member.
type Progress struct {
	// Match is the index of the last entry that the member has stored.
	Match uint64
	// Active is true if the member has responded within the last election timeout.
	Active bool
	// Learner is true until the member is promoted.
	Learner bool
}

// Progress returns the progress of all members by ID; nil if this member is not the leader.
func (s *Server) Progress() map[uint64]Progress {
	status, ok := publishedStatus(s.ID())
	if !ok || status.RaftState != raft.StateLeader {
		return nil
	}
	found := map[uint64]Progress{}
	for id, progress := range status.Progress {
		found[id] = Progress{Match: progress.Match, Active: progress.RecentActive || id == s.ID(), Learner: progress.IsLearner}
	}
	return found
}

// publishedStatus returns raft's status, which is in a variable that etcd publishes once per process. ok is false
// if the variable is about another member, because a test runs several.
func publishedStatus(self uint64) (status raft.Status, ok bool) {
	published, ok := expvar.Get("raft.status").(expvar.Func)
	if !ok {
		return status, false
	}
	status, ok = published.Value().(raft.Status)
	return status, ok && status.ID == self
}
