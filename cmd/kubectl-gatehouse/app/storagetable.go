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
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// membersTable is the server's table of the members of etcd.
type membersTable struct {
	columns []metav1.TableColumnDefinition
	rows    []memberRow
	version string
}

type memberRow struct {
	cells  []any
	member v1alpha1.StorageMember
}

// The columns by their names in the server's table.
const (
	lastSeenColumn  = "Last-Seen"
	roundTripColumn = "Round-Trip"
)

// ofCluster are the columns that the sentence above the table has.
var ofCluster = []string{"Voters", "May-Fail"}

// add adds the rows of a table, or replaces those of the same members.
func (t *membersTable) add(content []byte) error {
	var table metav1.Table
	if err := json.Unmarshal(content, &table); err != nil {
		return fmt.Errorf("the server's table of members: %w", err)
	}
	if table.Kind != "Table" || len(t.columns) == 0 && len(table.ColumnDefinitions) == 0 {
		return errNoTable
	}
	if len(table.ColumnDefinitions) > 0 { // events after the first one have none
		t.columns = table.ColumnDefinitions
	}
	t.version = table.ResourceVersion
	for _, row := range table.Rows {
		added := memberRow{cells: row.Cells}
		if err := json.Unmarshal(row.Object.Raw, &added.member); err != nil {
			return fmt.Errorf("the server's table of members: %w", err)
		}
		i := slices.IndexFunc(t.rows, func(r memberRow) bool { return r.member.Name == added.member.Name })
		if i < 0 {
			t.rows = append(t.rows, added)
		} else {
			t.rows[i] = added
		}
	}
	return nil
}

// sentence says how many members may fail.
func (t *membersTable) sentence() string {
	if len(t.rows) == 0 {
		return "The cluster has no member."
	}
	newest := slices.MaxFunc(t.rows, func(a, b memberRow) int { return strings.Compare(a.member.ResourceVersion, b.member.ResourceVersion) })
	return newest.member.Cluster.Message + "."
}

// state is what write prints, without the times of the responses.
func (t *membersTable) state() string {
	state := t.sentence()
	for _, row := range t.rows {
		for i, column := range t.columns {
			if i < len(row.cells) && column.Name != lastSeenColumn && column.Name != roundTripColumn {
				state += fmt.Sprintf("\t%v", row.cells[i])
			}
		}
	}
	return state
}

// write prints the sentence about the cluster, and a line for each member.
func (t *membersTable) write(out io.Writer, wide bool, now time.Time) error {
	fmt.Fprintf(out, "%s\n\n", cell(t.sentence()))
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	line := func(value func(i int, column string) string) {
		var cells []string
		for i, column := range t.columns {
			if (column.Priority == 0 || wide) && !slices.Contains(ofCluster, column.Name) {
				cells = append(cells, cell(value(i, column.Name)))
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line(func(_ int, column string) string { return strings.ToUpper(column) })
	// The names sort better than the IDs, by which the server does.
	rows := slices.SortedStableFunc(slices.Values(t.rows), func(a, b memberRow) int { return strings.Compare(a.member.MemberName, b.member.MemberName) })
	for _, row := range rows {
		line(func(i int, column string) string {
			switch {
			case column == lastSeenColumn && row.member.LastSeenTime != nil:
				return duration.HumanDuration(now.Sub(row.member.LastSeenTime.Time)) // that of the server is of its last change
			case i < len(row.cells):
				return fmt.Sprint(row.cells[i])
			}
			return ""
		})
	}
	if err := w.Flush(); err != nil || wide {
		return err
	}
	writeErrors(out, rows)
	return nil
}

// writeErrors prints why members are not healthy, for which the table has a wide column.
func writeErrors(out io.Writer, rows []memberRow) {
	first := true
	for _, row := range rows {
		if row.member.Error == "" {
			continue
		}
		if first {
			fmt.Fprintln(out)
			first = false
		}
		name := row.member.MemberName
		if name == "" {
			name = row.member.Name
		}
		fmt.Fprintf(out, "%s: %s\n", cell(name), cell(row.member.Error))
	}
}
