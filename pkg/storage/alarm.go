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

package storage

import (
	"regexp"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// alarmText matches an alarm in the errors of a status: etcd's text of an AlarmMember.
var alarmText = regexp.MustCompile(`^memberID:(\d+)\s+alarm:(NOSPACE|CORRUPT)\s*$`)

// ParseAlarm returns the alarm in an error of the status of a member, and the member that it is of. ok is
// false for other errors. The request for alarms is no alternative, because each one is a write of the log of
// all members.
func ParseAlarm(text string) (member uint64, alarm etcdserverpb.AlarmType, ok bool) {
	parts := alarmText.FindStringSubmatch(text)
	if parts == nil {
		return 0, etcdserverpb.AlarmType_NONE, false
	}
	member, err := strconv.ParseUint(parts[1], 10, 64)
	return member, etcdserverpb.AlarmType(etcdserverpb.AlarmType_value[parts[2]]), err == nil
}
