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
	"strings"
	"testing"
)

func TestTheMetricsAreThoseOfEtcd(t *testing.T) {
	server := start(t, Config{DataDir: t.TempDir()})
	client := connect(t, server)
	put(t, client, "a", "b")
	families, err := server.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if name := family.GetName(); !strings.HasPrefix(name, "etcd_") {
			t.Errorf("%s is not a metric of etcd", name)
		}
		first := family.GetMetric()[0]
		values[family.GetName()] += first.GetGauge().GetValue() + first.GetCounter().GetValue() + float64(first.GetHistogram().GetSampleCount())
	}
	for _, name := range []string{"etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds", "etcd_server_has_leader", "etcd_server_is_leader", "etcd_server_proposals_committed_total", "etcd_mvcc_put_total", "etcd_mvcc_db_total_size_in_bytes", "etcd_debugging_mvcc_current_revision"} {
		if values[name] == 0 {
			t.Errorf("%s is 0 or missing", name)
		}
	}
}
