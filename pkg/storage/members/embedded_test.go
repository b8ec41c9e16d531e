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
	"context"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestALoneEtcdIsObservedInTheProcessAndOverItsSocket(t *testing.T) {
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: t.TempDir(), QuotaBackendBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	client := etcd.NewClient()
	defer client.Close()
	if _, err := client.Put(t.Context(), "key", "value"); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{
		"in the process":  {Local: etcd},
		"over its socket": {External: storage.Connection{Endpoints: etcd.Endpoints()}},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(t.Context(), config)
			p.poll(t.Context())
			var all []*diagnostics.StorageMember
			p.List(func(m *diagnostics.StorageMember) { all = append(all, m) })
			if len(all) != 1 {
				t.Fatalf("got %d members: %v", len(all), p.unknown)
			}
			m := all[0]
			if m.Name == "" || m.MemberName == "" || m.Role != diagnostics.StorageLeader || m.Health != diagnostics.StorageHealthy || m.Error != "" ||
				m.Behind == nil || *m.Behind != 0 || m.Version == "" || m.LastSeenTime == nil || m.RoundTrip == nil || m.RaftIndex == 0 {
				t.Errorf("got %+v", m)
			}
			if m.Fsync == nil || m.Fsync.P99.Duration <= 0 || m.Fsync.Count == 0 || m.FsyncUnavailable != "" {
				t.Errorf("the writes of the log: %+v, %q", m.Fsync, m.FsyncUnavailable)
			}
			if m.DBSizeBytes == 0 || m.DBSizeInUseBytes == 0 || m.QuotaBytes != 1<<30 {
				t.Errorf("the sizes: %d, %d, %d", m.DBSizeBytes, m.DBSizeInUseBytes, m.QuotaBytes)
			}
			if c := m.Cluster; c.Voters != 1 || c.HealthyVoters != 1 || c.Quorum != 1 || c.MayFail != 0 || !c.Quorate || c.ID == "" {
				t.Errorf("the cluster: %+v", c)
			}
			for _, e := range p.endpoints {
				e.close()
			}
		})
	}
}

// TestAnAlarmIsRead has the text of an alarm from etcd itself.
func TestAnAlarmIsRead(t *testing.T) {
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	client, err := clientv3.New(clientv3.Config{Endpoints: etcd.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := New(t.Context(), Config{Local: etcd})
	p.poll(t.Context())
	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: p.listed[0].GetID(), Alarm: etcdserverpb.AlarmType_NOSPACE}
	if _, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(), alarm); err != nil {
		t.Fatal(err)
	}
	p.poll(t.Context())
	p.List(func(m *diagnostics.StorageMember) {
		if len(m.Alarms) != 1 || m.Alarms[0] != diagnostics.StorageAlarmNoSpace || m.Health != diagnostics.StorageUnhealthy || m.Error != alarmErrors[diagnostics.StorageAlarmNoSpace] || m.Cluster.HealthyVoters != 1 {
			t.Errorf("got %+v", m)
		}
	})
}
