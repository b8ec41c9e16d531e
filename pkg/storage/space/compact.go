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
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// enoughPercent is the part of the quota below which objects must be for a full database to be made writable
	// again. With less free space, the next writes would fill it again.
	enoughPercent = 80
	// disarmPercent is the part of the quota that the file may have after the defragmentation. It is less than what
	// the reserve leaves.
	disarmPercent = 85
)

// Revision returns the current revision of the database.
func (e *Etcd) Revision(ctx context.Context) (int64, error) {
	client, err := e.any(ctx)
	if err != nil {
		return 0, err
	}
	response, err := client.Get(ctx, "revision", clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("reading the revision of etcd: %w", err)
	}
	return response.Header.Revision, nil
}

// Compact drops the versions before a revision, and returns when they are gone on the member that responds. It does
// nothing if that was done before. Reads and watches of older versions get 410 afterwards, and start again.
func (e *Etcd) Compact(ctx context.Context, revision int64) error {
	client, err := e.any(ctx)
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, revision, clientv3.WithCompactPhysical())
	switch {
	case err == nil, errors.Is(err, rpctypes.ErrCompacted):
		return nil
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("revision %d does not exist yet: use a smaller one", revision)
	}
	return fmt.Errorf("compacting to revision %d: %w", revision, err)
}

// Disarm removes the alarms of the databases that are not full any more, of the members that are reached from here,
// and reports whether it removed any. Writes fail on all members until the last alarm is removed.
func (e *Etcd) Disarm(ctx context.Context, members []Member) (bool, error) {
	client, err := e.any(ctx)
	if err != nil {
		return false, err
	}
	disarmed := false
	for _, m := range members {
		if !m.NoSpace || m.Elsewhere || m.Err != nil || m.Quota > 0 && m.Size > m.Quota/100*disarmPercent {
			continue
		}
		if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: m.ID, Alarm: etcdserverpb.AlarmType_NOSPACE}); err != nil {
			return disarmed, fmt.Errorf("disarming the alarm of member %s: %w", &m, err)
		}
		disarmed = true
	}
	return disarmed, nil
}
