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

package backup

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
)

const (
	nameTime = "20060102T150405Z"
	suffix   = ".tar.zst"
	// damagedMark is in the names of backups of which some part cannot be read.
	damagedMark = "-damaged"
)

// Name is the name of a backup: gatehouse-CLUSTER-TIME-REVISION.tar.zst.
type Name struct {
	// Cluster is the ID of the etcd cluster, in hexadecimal digits.
	Cluster string
	// Time is when the backup was begun, in UTC and in seconds.
	Time time.Time
	// Revision is that of the last write in the backup.
	Revision int64
	// Damaged is true if some object in it could not be decoded when it was made.
	Damaged bool
}

var nameFormat = regexp.MustCompile(`^gatehouse-([0-9a-f]{1,16})-([0-9]{8}T[0-9]{6}Z)-([0-9]+)(-damaged)?\.tar\.zst$`)

// String returns the name of the file.
func (n Name) String() string {
	mark := ""
	if n.Damaged {
		mark = damagedMark
	}
	return fmt.Sprintf("gatehouse-%s-%s-%d%s%s", n.Cluster, n.Time.UTC().Format(nameTime), n.Revision, mark, suffix)
}

// ParseName parses the name of a file, and returns false for another file than a backup.
func ParseName(file string) (Name, bool) {
	parts := nameFormat.FindStringSubmatch(file)
	if parts == nil {
		return Name{}, false
	}
	at, err := time.Parse(nameTime, parts[2])
	if err != nil {
		return Name{}, false
	}
	revision, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return Name{}, false
	}
	return Name{Cluster: parts[1], Time: at, Revision: revision, Damaged: parts[4] != ""}, true
}

// Retention is how many backups are kept: the newest one of each of the last hours, days and weeks that have one.
type Retention struct {
	Hours, Days, Weeks int
}

// DefaultRetention keeps at most 35 backups.
func DefaultRetention() Retention { return Retention{Hours: 24, Days: 7, Weeks: 4} }

// keptDamaged is the number of damaged backups that are kept, beside the others: they are for an analysis.
const keptDamaged = 3

// Expired returns the backups of a cluster that are not kept. Those of other clusters are never among them, and damaged
// ones replace no other.
func (r Retention) Expired(cluster string, all []Name) []Name {
	var sound, damaged []Name
	for _, name := range all {
		switch {
		case name.Cluster != cluster:
		case name.Damaged:
			damaged = append(damaged, name)
		default:
			sound = append(sound, name)
		}
	}
	newestFirst(sound)
	newestFirst(damaged)
	kept := map[Name]bool{}
	for _, rule := range []struct {
		number int
		period func(time.Time) string
	}{
		{r.Hours, func(t time.Time) string { return t.Format("2006-01-02 15") }},
		{r.Days, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{r.Weeks, func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprintf("%d-%d", year, week) }},
	} {
		keep(kept, sound, rule.number, rule.period)
	}
	expired := slices.DeleteFunc(sound, func(n Name) bool { return kept[n] })
	return append(expired, damaged[min(keptDamaged, len(damaged)):]...)
}

// keep marks the newest backup of each of the last periods.
func keep(kept map[Name]bool, newestFirst []Name, number int, period func(time.Time) string) {
	seen := map[string]bool{}
	for _, name := range newestFirst {
		if at := period(name.Time); !seen[at] && len(seen) < number {
			seen[at] = true
			kept[name] = true
		}
	}
}

func newestFirst(names []Name) {
	slices.SortFunc(names, func(a, b Name) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Revision, a.Revision))
	})
}
