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

package cluster

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// removeInconsistent removes a member whose data etcd has found to differ from those of the others, and ends the alarm,
// because of which etcd refuses every read and write of the cluster: nothing else can be done before. Any other
// member is left as it is, and removed is false.
func (c *Cluster) removeInconsistent(ctx context.Context, name string) (removed bool, err error) {
	alarms, err := c.client.AlarmList(ctx)
	if err != nil {
		return false, err
	}
	var inconsistent []*etcdserverpb.AlarmMember
	for _, alarm := range alarms.Alarms {
		if alarm.GetAlarm() == etcdserverpb.AlarmType_CORRUPT {
			inconsistent = append(inconsistent, alarm)
		}
	}
	if len(inconsistent) == 0 {
		return false, nil
	}
	listed, err := c.client.MemberList(ctx)
	if err != nil {
		return false, err
	}
	now := &membership{list: listed.Members} // the records cannot be read
	member, err := now.named(name)
	if err != nil {
		return false, err
	}
	if err := c.mayRemoveInconsistent(now, member, inconsistent); err != nil {
		return false, err
	}
	c.log.Info("Removing a member whose data differ from those of the others", "name", now.name(member))
	if err := patiently(ctx, func() error { return c.removeMember(ctx, member.GetID()) }); err != nil {
		return false, err
	}
	if _, err := c.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(inconsistent[0])); err != nil {
		return false, err
	}
	return true, c.removeRecord(ctx, hexID(member.GetID()))
}

// mayRemoveInconsistent returns an error unless the alarm is for a member, and the others have the data.
func (c *Cluster) mayRemoveInconsistent(now *membership, member *etcdserverpb.Member, inconsistent []*etcdserverpb.AlarmMember) error {
	for _, alarm := range inconsistent {
		wrong := now.withID(alarm.GetMemberID())
		switch {
		case wrong == nil:
			return conflict("etcd has found that the members have different data, and no majority has the same: restore a backup into a new directory with \"gatehouse restore\"")
		case wrong != member:
			return conflict(fmt.Sprintf("the data of the member %s differ from those of the others, and etcd refuses requests: run \"gatehouse member replace %s\" first", now.name(wrong), now.name(wrong)))
		}
	}
	switch {
	case !member.GetIsLearner() && now.voters() == 1:
		return conflict(fmt.Sprintf("%s is the only member that votes: restore a backup into a new directory with \"gatehouse restore\"", now.name(member)))
	case member.GetID() == c.Local.ID():
		return conflict(fmt.Sprintf("the data of this member, %s, differ from those of the others: run the command on another member", now.name(member)))
	}
	return nil
}
