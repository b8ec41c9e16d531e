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

package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// tableOf returns a table of the server. Only its first event has columns.
func tableOf(t *testing.T, columns bool, members ...v1alpha1.StorageMember) []byte {
	t.Helper()
	table := metav1.Table{TypeMeta: metav1.TypeMeta{Kind: "Table", APIVersion: "meta.k8s.io/v1"}}
	if columns {
		for _, name := range []string{"Name", "Member", "Health", roundTripColumn, lastSeenColumn, "Voters", "May-Fail"} {
			table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: name})
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: "Error", Priority: 1})
	}
	for _, m := range members {
		content, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		table.Rows = append(table.Rows, metav1.TableRow{
			Cells:  []any{m.Name, m.MemberName, m.Health, m.RoundTrip.Duration.String(), "0s", "2/3", "0", m.Error},
			Object: runtime.RawExtension{Raw: content},
		})
	}
	content, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// seen returns a member whose last response is ten seconds old.
func seen(id, name string, health v1alpha1.StorageHealth, took time.Duration, message string) v1alpha1.StorageMember {
	m := v1alpha1.StorageMember{
		ObjectMeta: metav1.ObjectMeta{Name: id, ResourceVersion: "1"}, MemberName: name, Health: health, RoundTrip: &metav1.Duration{Duration: took},
		LastSeenTime: ptr.To(metav1.NewMicroTime(time.Unix(1_000_000, 0))), Cluster: v1alpha1.StorageCluster{Message: message},
	}
	if health == v1alpha1.StorageUnreachable {
		m.Error = "no response\x1b[31m"
	}
	return m
}

func TestTheStatusOfTheStorageHasASentenceTheMembersAndTheirErrors(t *testing.T) {
	table := &membersTable{}
	first := tableOf(t, true, seen("a1", "etcd-2", v1alpha1.StorageHealthy, 1, "3 voters"), seen("b2", "etcd-1", v1alpha1.StorageUnreachable, 1, "3 voters"))
	if err := table.add(first); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_010, 0)
	var out bytes.Buffer
	if err := table.write(&out, false, now); err != nil {
		t.Fatal(err)
	}
	want := `3 voters.

NAME   MEMBER   HEALTH        ROUND-TRIP   LAST-SEEN
b2     etcd-1   Unreachable   1ns          10s
a1     etcd-2   Healthy       1ns          10s

etcd-1: no response^[[31m
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := table.write(&out, true, now); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "no response") != 1 || !strings.Contains(out.String(), "LAST-SEEN   ERROR") {
		t.Errorf("wide:\n%s", out.String())
	}
}

func TestOnlyTimesOfResponsesAreNoChangeOfTheStatus(t *testing.T) {
	table := &membersTable{}
	if err := table.add(tableOf(t, true, seen("a1", "etcd-1", v1alpha1.StorageHealthy, 1, "1 voter"))); err != nil {
		t.Fatal(err)
	}
	state := table.state()
	later := seen("a1", "etcd-1", v1alpha1.StorageHealthy, 2, "1 voter")
	if err := table.add(tableOf(t, false, later)); err != nil {
		t.Fatal(err)
	}
	if table.state() != state || len(table.rows) != 1 {
		t.Errorf("the state is %q, was %q", table.state(), state)
	}
	later.Health, later.ResourceVersion = v1alpha1.StorageUnhealthy, "2"
	if err := table.add(tableOf(t, false, later)); err != nil {
		t.Fatal(err)
	}
	if table.state() == state {
		t.Error("a change of the health is none of the state")
	}
}

func TestAServerWithoutTablesIsAnError(t *testing.T) {
	for _, body := range []string{`{"kind":"StorageMemberList"}`, `{"kind":"Table"}`, `no`} {
		if err := (&membersTable{}).add([]byte(body)); err == nil {
			t.Errorf("%s is no error", body)
		}
	}
}

func TestTheOutputOfStorageStatusIsChecked(t *testing.T) {
	for _, row := range []struct {
		name    string
		command storageStatus
		want    string
	}{
		{"a table", storageStatus{}, ""},
		{"wide, followed", storageStatus{output: "wide", watch: true}, ""},
		{"json", storageStatus{output: "json"}, ""},
		{"yaml, followed", storageStatus{output: "yaml", watch: true}, "exclude each other"},
		{"another format", storageStatus{output: "xml"}, "is unknown"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.command.check(); (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
