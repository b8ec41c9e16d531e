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
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

// printStatus writes a table of the members.
func printStatus(out io.Writer, members []space.Member) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tROLE\tVERSION\tSIZE\tIN USE\tQUOTA\tFULL\tREGAIN\tPROBLEM")
	for i := range members {
		m := &members[i]
		if m.Size == 0 {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\t-\t-\t%s\n", m, m.Role(), problem(m, len(members)))
			continue
		}
		quota, full := "-", "-"
		if m.Quota > 0 {
			quota, full = space.Bytes(m.Quota), fmt.Sprintf("%d %%", m.Size*100/m.Quota)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m, m.Role(), m.Version, space.Bytes(m.Size), space.Bytes(m.InUse), quota, full, space.Bytes(m.Size-m.InUse), problem(m, len(members)))
	}
	return w.Flush()
}

// problem returns what is wrong with one of a number of members, with the cure.
func problem(m *space.Member, members int) string {
	switch {
	case m.Corrupt && members == 1:
		return "the data are inconsistent, and requests are refused: restore a backup"
	case m.Corrupt:
		return "the data differ from those of the other members, and requests are refused: replace the member, which gets theirs"
	case m.Err != nil:
		return m.Err.Error()
	case m.NoSpace:
		return "the quota is full (the disk is not): writes are refused"
	}
	return "-"
}

// printUsage writes a table of the resources.
func printUsage(out io.Writer, usage *space.Usage) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "RESOURCE\tOBJECTS\tBYTES\tSHARE\tLARGEST")
	for _, r := range usage.Resources {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1f %%\t%s (%s)\n", r.Resource, r.Objects, space.Bytes(r.Bytes), float64(r.Bytes)*100/float64(usage.Bytes), r.Largest, space.Bytes(r.LargestBytes))
	}
	fmt.Fprintf(w, "all\t%d\t%s\t\t\n", usage.Objects, space.Bytes(usage.Bytes))
	return w.Flush()
}
