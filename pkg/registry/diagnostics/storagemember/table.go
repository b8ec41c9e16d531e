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

package storagemember

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// table returns the columns of kubectl get, which are those of "kubectl gatehouse storage status", too. The last two of
// the narrow ones are of the cluster.
func table() rest.TableConvertor {
	type member = diagnostics.StorageMember
	column := func(name, description string, wide bool, value func(*member) string) base.Column[*member] {
		return base.Column[*member]{Name: name, Description: description, Wide: wide, Value: func(m *member) any { return value(m) }}
	}
	return base.Table(
		base.NameColumn[*member](),
		column("Member", "The name that the operator gave the member.", false, func(m *member) string { return orNone(m.MemberName) }),
		column("Role", "Leader, Follower or Learner.", false, func(m *member) string { return string(m.Role) }),
		column("Health", "Healthy, Unhealthy or Unreachable.", false, func(m *member) string { return string(m.Health) }),
		column("Behind", "Entries of the log by which the member is behind the leader.", false, behind),
		column("Fsync-P99", "The duration within which 99 % of the latest writes of the log reached the disk.", false, fsync),
		column("DB-Size", "The size of the file of the database.", false, func(m *member) string { return size(m.DBSizeBytes) }),
		column("Alarms", "The alarms of the member.", false, alarms),
		column("Version", "The version of etcd.", false, func(m *member) string { return orNone(m.Version) }),
		column("Round-Trip", "The duration of the last response.", false, roundTrip),
		column("Last-Seen", "The time since the last response.", false, lastSeen),
		column("Voters", "Healthy voters of the cluster, of all voters.", false, func(m *member) string {
			return fmt.Sprintf("%d/%d", m.Cluster.HealthyVoters, m.Cluster.Voters)
		}),
		column("May-Fail", "Voters of the cluster that may fail before writes stop.", false, mayFail),
		column("In-Use", "The part of the file of the database that is in use.", true, func(m *member) string { return size(m.DBSizeInUseBytes) }),
		column("Quota", "The size of the file at which writes are refused.", true, func(m *member) string { return size(m.QuotaBytes) }),
		column("URLs", "The URLs for clients.", true, func(m *member) string { return orNone(strings.Join(m.ClientURLs, ",")) }),
		column("Error", "Why the member is not healthy, or why Fsync-P99 is not known.", true, problems),
	)
}

func orNone(value string) string {
	if value == "" {
		return "<none>"
	}
	return value
}

const unknown = "<unknown>"

func behind(m *diagnostics.StorageMember) string {
	if m.Behind == nil {
		return unknown
	}
	return strconv.FormatInt(*m.Behind, 10)
}

func fsync(m *diagnostics.StorageMember) string {
	if m.Fsync == nil {
		return unknown
	}
	return m.Fsync.P99.Duration.String()
}

func alarms(m *diagnostics.StorageMember) string {
	var all []string
	for _, alarm := range m.Alarms {
		all = append(all, string(alarm))
	}
	return orNone(strings.Join(all, ","))
}

func roundTrip(m *diagnostics.StorageMember) string {
	if m.RoundTrip == nil {
		return unknown
	}
	return m.RoundTrip.Duration.Round(10 * time.Microsecond).String()
}

func lastSeen(m *diagnostics.StorageMember) string {
	if m.LastSeenTime == nil {
		return "<never>"
	}
	return base.Ago(metav1.NewTime(m.LastSeenTime.Time))
}

func mayFail(m *diagnostics.StorageMember) string {
	if !m.Cluster.Quorate {
		return "quorum lost"
	}
	return strconv.Itoa(int(m.Cluster.MayFail))
}

func problems(m *diagnostics.StorageMember) string {
	all := []string{m.Error}
	if m.Fsync == nil && m.LastSeenTime != nil {
		all = append(all, m.FsyncUnavailable)
	}
	return orNone(strings.Trim(strings.Join(all, "; "), "; "))
}

// size writes bytes with one digit after the point.
func size(bytes int64) string {
	if bytes == 0 {
		return unknown
	}
	value, unit := float64(bytes)/(1<<10), "KiB"
	for _, larger := range []string{"MiB", "GiB"} {
		if value >= 1024 {
			value, unit = value/1024, larger
		}
	}
	return fmt.Sprintf("%.1f%s", value, unit)
}
