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

package members

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// alarmErrors are the errors of members with an alarm.
var alarmErrors = map[diagnostics.StorageAlarm]string{
	diagnostics.StorageAlarmNoSpace: "the database has reached its quota, so writes are refused",
	diagnostics.StorageAlarmCorrupt: "the data differ from those of other members, so requests are refused: replace the member, which gets theirs",
}

// corruptAlone is the error of the only member with an alarm for its data, which no other member has.
const corruptAlone = "the data are inconsistent, so requests are refused: restore a backup"

// alarmError returns the error of one of a number of members with an alarm.
func alarmError(alarm diagnostics.StorageAlarm, members int) string {
	if alarm == diagnostics.StorageAlarmCorrupt && members == 1 {
		return corruptAlone
	}
	return alarmErrors[alarm]
}

// view is what the members say together.
type view struct {
	// leader is 0 if there is none.
	leader uint64
	// head is the raft index of the leader; nil if it did not respond.
	head   *int64
	alarms map[uint64][]diagnostics.StorageAlarm
}

// view joins the answers of the last poll.
func (p *Poller) view() view {
	v := view{alarms: map[uint64][]diagnostics.StorageAlarm{}}
	term := uint64(0)
	for _, o := range p.observed {
		if o.err != nil || o.last == nil {
			continue
		}
		status := o.last.status
		if status.GetLeader() != 0 && status.GetRaftTerm() >= term {
			v.leader, term = status.GetLeader(), status.GetRaftTerm()
		}
		for _, text := range status.GetErrors() {
			id, found, ok := storage.ParseAlarm(text)
			if alarm := diagnostics.StorageAlarm(found.String()); ok && !slices.Contains(v.alarms[id], alarm) {
				v.alarms[id] = append(v.alarms[id], alarm)
			}
		}
	}
	if o := p.observed[v.leader]; o != nil && o.err == nil && o.last != nil {
		v.head = ptr.To(int64(o.last.status.GetRaftIndex()))
	}
	return v
}

// objects returns the objects of all members, by name.
func (p *Poller) objects() []*diagnostics.StorageMember {
	v := p.view()
	var all []*diagnostics.StorageMember
	voters, voting, learners := 0, 0, 0
	for _, member := range p.listed {
		object, votes := p.object(member, v)
		all = append(all, object)
		switch {
		case object.Role == diagnostics.StorageLearner:
			learners++
		case votes:
			voters, voting = voters+1, voting+1
		default:
			voters++
		}
	}
	cluster := clusterOf(voters, voting, learners)
	cluster.ID = hex(p.cluster)
	for _, object := range all {
		object.Cluster = cluster
	}
	slices.SortFunc(all, func(a, b *diagnostics.StorageMember) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// hex writes an ID as etcdctl does.
func hex(id uint64) string { return strconv.FormatUint(id, 16) }

// object returns the object of a member. votes is true if it takes part in the decisions of the cluster, unless it
// is a learner.
func (p *Poller) object(member *etcdserverpb.Member, v view) (object *diagnostics.StorageMember, votes bool) {
	id := member.GetID()
	object = &diagnostics.StorageMember{
		ObjectMeta: metav1.ObjectMeta{Name: hex(id)}, MemberName: member.GetName(), Alarms: v.alarms[id],
		ClientURLs: slices.Clone(member.GetClientURLs()), PeerURLs: slices.Clone(member.GetPeerURLs()),
		Role: diagnostics.StorageFollower, Health: diagnostics.StorageHealthy,
	}
	switch {
	case member.GetIsLearner():
		object.Role = diagnostics.StorageLearner
	case id == v.leader:
		object.Role = diagnostics.StorageLeader
	}
	o := p.observed[id]
	if o == nil {
		o = &observation{err: errNotStarted}
	}
	if o.last != nil {
		describe(object, o, v)
	} else {
		object.FsyncUnavailable = "the member has never responded"
	}
	if o.err != nil {
		object.Health, object.Error = diagnostics.StorageUnreachable, o.err.Error()
		return object, false
	}
	var errs []string
	for _, text := range o.last.status.GetErrors() {
		if _, _, alarm := storage.ParseAlarm(text); !alarm {
			errs = append(errs, strings.TrimPrefix(text, "etcdserver: "))
		}
	}
	votes = len(errs) == 0
	for _, alarm := range object.Alarms {
		errs = append(errs, alarmError(alarm, len(p.listed)))
	}
	if len(errs) > 0 {
		object.Health, object.Error = diagnostics.StorageUnhealthy, strings.Join(errs, "; ")
	}
	return object, votes
}

// describe adds what the last response of a member has.
func describe(object *diagnostics.StorageMember, o *observation, v view) {
	status := o.last.status
	object.LastSeenTime = ptr.To(metav1.NewMicroTime(o.last.at.Truncate(time.Microsecond)))
	object.RoundTrip = &metav1.Duration{Duration: o.last.took.Truncate(time.Microsecond)}
	object.RaftIndex, object.RaftTerm = int64(status.GetRaftIndex()), int64(status.GetRaftTerm())
	if v.head != nil {
		object.Behind = ptr.To(max(0, *v.head-object.RaftIndex))
	}
	object.DBSizeBytes, object.DBSizeInUseBytes, object.QuotaBytes = status.GetDbSize(), status.GetDbSizeInUse(), status.GetDbSizeQuota()
	object.Version = status.GetVersion()
	// A member that is stopped while it responds has still been asked before.
	if o.last.unavailable != "" && !o.fsyncs.covers(o.last.at) {
		object.FsyncUnavailable = o.last.unavailable
		return
	}
	durations, window := o.fsyncs.latest()
	if durations.count() == 0 {
		object.FsyncUnavailable = "the member has not written to its log yet"
		return
	}
	object.Fsync = &diagnostics.StorageFsync{P99: metav1.Duration{Duration: durations.quantile(0.99)}, Count: int64(durations.count())}
	if window > 0 {
		object.Fsync.Window = &metav1.Duration{Duration: window.Round(time.Millisecond)}
	}
}

// clusterOf says how many of the voters may fail, if some of them vote.
func clusterOf(voters, voting, learners int) diagnostics.StorageCluster {
	quorum := storage.QuorumOf(voters)
	cluster := diagnostics.StorageCluster{
		Voters: int32(voters), HealthyVoters: int32(voting), Quorum: int32(quorum.Needed),
		MayFail: int32(max(0, voting-quorum.Needed)), Quorate: voters > 0 && voting >= quorum.Needed,
	}
	message := fmt.Sprintf("%s, %d healthy", plural(voters, "voter"), voting)
	if voting == voters {
		message = plural(voters, "voter") + ", all healthy"
	}
	if learners > 0 {
		message += ", and " + plural(learners, "learner")
	}
	switch {
	case !cluster.Quorate:
		message += fmt.Sprintf("; writes need %d: the quorum is lost, and writes fail", quorum.Needed)
	case cluster.MayFail == 0:
		message += fmt.Sprintf("; writes need %d, so none may fail", quorum.Needed)
	case voting == voters:
		message += fmt.Sprintf("; writes need %d, so %d may fail", quorum.Needed, cluster.MayFail)
	default:
		message += fmt.Sprintf("; writes need %d, so %d more may fail", quorum.Needed, cluster.MayFail)
	}
	if warning := quorum.Warning(); warning != "" {
		message += ". " + warning
	}
	cluster.Message = message
	return cluster
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
