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
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// reclaimedPercent is the part of the quota that a defragmented database may fill for the alarm to be
	// disarmed. With less free space, the next writes would set the alarm again. Start defragments a
	// database that fills more of its quota.
	reclaimedPercent = 90

	// defragThresholdMegabytes is what a start must regain to defragment a database that is far from its
	// quota. That takes about a second per 30 MB, in which an unattended restart is not ready.
	defragThresholdMegabytes = 256
)

// Alarm returns a *Problem of reason OverQuota if the database has reached its quota, one of reason
// Corrupt if etcd has found it inconsistent, and nil otherwise. At its quota etcd still serves reads
// and deletes, and refuses every other write until the alarm is disarmed, which the next Start
// attempts. Alarm reads from memory.
func (s *Server) Alarm() error {
	for _, alarm := range s.etcd.Server.Alarms() {
		switch alarm.GetAlarm() {
		case etcdserverpb.AlarmType_NOSPACE:
			return overQuota(s.dir, s.quotaBytes)
		case etcdserverpb.AlarmType_CORRUPT:
			return s.inconsistent(types.ID(alarm.GetMemberID()))
		}
	}
	return nil
}

// inconsistent returns the Problem of an alarm for inconsistent data, for which etcd refuses all requests. The data of one
// member of several come back from the others. etcd gives no member if it cannot tell which one is wrong.
func (s *Server) inconsistent(id types.ID) error {
	member := s.etcd.Server.Cluster().Member(id)
	switch {
	case len(s.etcd.Server.Cluster().Members()) == 1:
		return corrupt(s.dir, errors.New("etcd has found the database to be inconsistent"))
	case member == nil:
		return corrupt(s.dir, errors.New("etcd has found that the members have different data, and no majority has the same"))
	}
	name := cmp.Or(member.Name, id.String())
	return problem(Corrupt, s.dir, nil, "is of a cluster that refuses requests, since etcd has found the data of the member %s to differ from those of the others: run \"gatehouse member replace %s\" on another member, and the command that it prints", name, name)
}

func (s *Server) warnOfAlarms() {
	if err := s.Alarm(); err != nil {
		s.log.Error(err, "Alarm of etcd is set")
	}
}

// OverQuota reports whether etcd refuses writes because the database has reached its quota.
func (s *Server) OverQuota() bool {
	problem := &Problem{}
	return errors.As(s.Alarm(), &problem) && problem.Reason == OverQuota
}

// Size returns the size of the database and its quota, in bytes.
func (s *Server) Size() (size, quota int64) { return s.etcd.Server.Backend().Size(), s.quotaBytes }

// Commit writes what etcd keeps in memory for up to 100 ms to the file, so that Size includes it.
func (s *Server) Commit() { s.etcd.Server.Backend().ForceCommit() }

// Defragment rewrites the database without its free pages. Requests wait meanwhile. The client of NewClient cannot do
// that.
func (s *Server) Defragment() error { return s.etcd.Server.Defragment() }

// reclaimSpace makes a database at its quota writable again if deletes, or a larger quota, leave
// free space, and defragments one that is close to its quota. Start succeeds in any case. It runs before
// Start returns, when there are no readers; watches that clients resume later get 410 and start from a new
// list.
func (s *Server) reclaimSpace(ctx context.Context) {
	size, quota := s.Size()
	if !s.OverQuota() && size <= quota/100*reclaimedPercent {
		return
	}
	if err := s.Reclaim(ctx); err != nil {
		s.log.Error(err, "Reclaiming space failed, the database stays close to its quota or at it")
	}
}

// Reclaim compacts all history, defragments the database, and disarms the alarm of a full database.
// It returns an error if the database stays at its quota. Requests wait while the file is rewritten.
func (s *Server) Reclaim(ctx context.Context) error {
	before, quota := s.Size()
	client := s.NewClient()
	defer client.Close()
	if err := compactAll(ctx, client); err != nil {
		return fmt.Errorf("compacting the database: %w", err)
	}
	if err := s.Defragment(); err != nil {
		return fmt.Errorf("defragmenting the database: %w", err)
	}
	after, _ := s.Size()
	if after > quota/100*reclaimedPercent {
		return fmt.Errorf("compacted and defragmented it has %d bytes, which is more than %d %% of %d: delete objects and restart the server, or restart it with a larger --etcd-quota-bytes", after, reclaimedPercent, quota)
	}
	if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("disarming the alarm: %w", err)
	}
	s.log.Info("Compacted and defragmented the database, writes are accepted again", "severity", "warn", "dir", s.dir, "bytesBefore", before, "bytes", after, "quotaBytes", quota)
	return nil
}

// compactAll compacts up to the current revision and waits until the history is gone.
func compactAll(ctx context.Context, client *clientv3.Client) error {
	current, err := client.Get(ctx, "revision", clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, current.Header.Revision, clientv3.WithCompactPhysical())
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil
	}
	return err
}
