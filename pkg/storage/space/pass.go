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

package space

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	// keptHistory is how old a version must be at least to be dropped while there is no space: clients that read
	// a list in pages continue at its version. It is slightly less than the interval of passes.
	keptHistory = interval - time.Second
	// countPause bounds the share of a core that counts take while there is no space: a count that took a second is
	// not repeated for five. nearAge is the age from which a count is repeated while there is still space.
	countPause = 5
	nearAge    = 15 * time.Minute
	// turn is the time for which one of several members may defragment itself.
	turn = 20 * time.Second
)

// passes is what the passes remember; only Run uses it.
type passes struct {
	keep      time.Duration // keptHistory
	revisions []revisionAt
	lowDisk   bool
	// compacted is the revision up to which the history is gone.
	compacted int64
	// counts are those at later revisions, and needed is the estimate of the last count before. What was deleted
	// since that count is still in the history.
	counts []*counted
	needed int64
	// failedAt is the estimate at the last defragmentation that did not help, and reported the last one in the
	// log; 0 for none.
	failedAt, reported int64
}

type revisionAt struct {
	at       time.Time
	revision int64
}

// counted is a count of all keys.
type counted struct {
	*Usage
	at       time.Time
	took     time.Duration
	revision int64
}

// pass reads the state of etcd, reports it, and makes space where that is needed and possible.
func (s *Server) pass(ctx context.Context) {
	members, err := s.etcd.Members(ctx)
	if err != nil {
		// The health check "etcd" reports an etcd that does not respond.
		s.log.V(2).Info("Reading the space of etcd failed", "err", err)
		return
	}
	seen := fullest(members)
	s.setFull(anyNoSpace(members))
	seen.refusing = s.full.Load() || s.reserved()
	s.last.Store(&seen)
	revision := s.remember(ctx)
	s.warnOfDisk()
	near := seen.quota > 0 && seen.size >= seen.quota/100*warnPercent
	if near || seen.refusing {
		s.count(ctx, revision, seen.refusing)
	}
	s.warn(near, seen)
	if seen.refusing && s.local != nil {
		s.reclaim(ctx, members)
	}
}

// fullest returns the space of the member that is closest to its quota.
func fullest(members []Member) (seen observation) {
	for _, m := range members {
		if m.Size > 0 && (seen.size == 0 || float64(m.Size)*float64(seen.quota) > float64(seen.size)*float64(m.Quota)) {
			seen = observation{size: m.Size, inUse: m.InUse, quota: m.Quota}
		}
	}
	return seen
}

// remember records the current revision with its time, and returns it; 0 if it is unknown.
func (s *Server) remember(ctx context.Context) int64 {
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	revision, err := s.etcd.Revision(ctx)
	if err != nil {
		return 0
	}
	now := time.Now()
	s.revisions = append(s.revisions, revisionAt{now, revision})
	for len(s.revisions) > 1 && now.Sub(s.revisions[1].at) >= s.keep {
		s.revisions = slices.Delete(s.revisions, 0, 1)
	}
	return revision
}

// old returns the newest revision that is old enough to be dropped; 0 for none.
func (s *Server) old() int64 {
	if len(s.revisions) == 0 || time.Since(s.revisions[0].at) < s.keep {
		return 0
	}
	return s.revisions[0].revision
}

// count counts what the resources take, unless the last count is recent.
func (s *Server) count(ctx context.Context, revision int64, refusing bool) {
	if last := s.usage.Load(); last != nil {
		age := time.Since(last.at)
		if age < countPause*last.took || refusing && last.revision == revision || !refusing && age < nearAge {
			return
		}
	}
	began := time.Now()
	usage, err := s.etcd.Usage(ctx, s.prefix)
	if err != nil {
		s.log.V(2).Info("Counting what resources take failed", "err", err)
		return
	}
	c := &counted{Usage: usage, at: time.Now(), took: time.Since(began), revision: revision}
	s.usage.Store(c)
	s.counts = append(s.counts, c)
}

// warn reports once that the database is close to its quota, and again after it was smaller.
func (s *Server) warn(near bool, seen observation) {
	if s.warned.Swap(near) || !near || seen.refusing {
		return
	}
	s.log.Info("Database of etcd is close to its quota, at which writes are refused", "severity", "warn",
		"bytes", seen.size, "bytesInUse", seen.inUse, "quotaBytes", seen.quota, "largest", s.largest(), "cure", s.nearCure())
	select {
	case s.warnings <- s.nearlyFull(seen):
	default:
	}
}

// warnOfDisk logs once that the disk is nearly full, and again after it was not.
func (s *Server) warnOfDisk() {
	free, low := s.disk.below(createsNeedDisk)
	if low && !s.lowDisk {
		s.log.Error(nil, "Disk of the data directory is nearly full, so creates are refused. The quota of the database is not the reason", "check", storage.DiskCheck, "freeBytes", free, "neededBytes", int64(createsNeedDisk))
	}
	if !low && s.lowDisk {
		s.log.Info("Disk of the data directory has free space, creates are accepted again", "freeBytes", free)
	}
	s.lowDisk = low
}

// reclaim makes space in an embedded etcd that refuses writes:
//
//	compact      drops former versions of objects that are older than four seconds
//	estimate     counts what the current versions take: the size in use that etcd reports is that of one or two
//	             commits before, and nothing commits while writes are refused
//	defragment   shrinks the file, if the objects take less than 80 % of the quota: requests wait meanwhile
//	disarm       makes etcd accept writes, if the file has less than 85 % of the quota
//
// The compactor of the storages cannot do the first: it records its progress by a write.
func (s *Server) reclaim(ctx context.Context, members []Member) {
	if err := s.compactOld(ctx); err != nil {
		s.log.Error(err, "Compacting the full database failed")
		return
	}
	if s.needed == 0 || !myTurn(members, time.Now()) {
		return
	}
	size, quota := s.local.Size()
	if s.needed >= quota/100*enoughPercent || s.failedAt > 0 && s.needed > s.failedAt-quota/20 {
		if max(s.reported-s.needed, s.needed-s.reported) > quota/100 {
			s.reported = s.needed
			s.log.Info("Database stays full, because its objects fill too much of the quota: delete objects", "severity", "warn",
				"objectBytes", s.needed, "neededBelowBytes", quota/100*enoughPercent, "largest", s.largest())
		}
		return
	}
	began := time.Now()
	err := s.defragmentOwn(ctx, members)
	after, _ := s.local.Size()
	if err != nil || after > quota/100*disarmPercent {
		s.failures.Add(1)
		s.failedAt = s.needed
		s.log.Error(err, "Defragmenting the full database did not make space", "bytesBefore", size, "bytes", after, "quotaBytes", quota)
		return
	}
	s.failedAt, s.reported = 0, 0
	s.reclaims.Add(1)
	s.log.Info("Compacted and defragmented the full database", "severity", "warn", "bytesBefore", size, "bytes", after, "quotaBytes", quota, "took", time.Since(began).Round(time.Millisecond))
	s.disarm(ctx)
}

// compactOld drops old versions, and updates the estimate of what is needed without them.
func (s *Server) compactOld(ctx context.Context) error {
	if old := s.old(); old > s.compacted {
		if err := s.etcd.Compact(ctx, old); err != nil {
			return err
		}
		s.compacted = old
	}
	for len(s.counts) > 0 && s.counts[0].revision <= s.compacted {
		s.needed = s.counts[0].needed()
		s.counts = slices.Delete(s.counts, 0, 1)
	}
	return nil
}

// disarm removes the alarms of this member; others remove theirs.
func (s *Server) disarm(ctx context.Context) {
	members, err := s.etcd.Members(ctx)
	if err == nil {
		members = slices.DeleteFunc(members, func(m Member) bool { return m.Elsewhere })
		_, err = s.etcd.Disarm(ctx, members)
	}
	if err == nil {
		members, err = s.etcd.Members(ctx)
	}
	if err != nil {
		s.log.Error(err, "Disarming the alarm of the database failed")
		return
	}
	s.setFull(anyNoSpace(members))
}

// defragmentOwn defragments the member in this process. Another voter becomes leader before, if there is one.
func (s *Server) defragmentOwn(ctx context.Context, members []Member) error {
	for _, m := range members {
		if !m.Elsewhere {
			return s.etcd.defragmentOne(ctx, m, members, io.Discard)
		}
	}
	return nil
}

// myTurn reports whether the member in this process may defragment itself: one after the other, in the order of
// their IDs, in turns by the clock. No lock is possible while writes are refused. If two clocks differ so much that
// two members of three block at the same time, requests wait for the defragmentation; nothing is lost.
func myTurn(members []Member, now time.Time) bool {
	ids := make([]uint64, 0, len(members))
	own := uint64(0)
	for _, m := range members {
		if m.Learner {
			return false
		}
		ids = append(ids, m.ID)
		if !m.Elsewhere {
			own = m.ID
		}
	}
	slices.Sort(ids)
	return int(now.UnixNano()/int64(turn))%len(ids) == slices.Index(ids, own)
}
