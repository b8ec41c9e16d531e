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
	"testing"
	"time"
)

func TestNamesOfBackups(t *testing.T) {
	for _, tc := range []struct {
		file string
		is   bool
	}{
		{"gatehouse-7297b9ad84a1f5e3-20261201T034230Z-127.tar.zst", true},
		{"gatehouse-7-20261201T034230Z-1000000127-damaged.tar.zst", true},
		{"gatehouse-7297b9ad84a1f5e3-20261301T034230Z-127.tar.zst", false},
		{"gatehouse-7297b9ad84a1f5e3-20261201T034230Z-127.tar.zst.part", false},
		{"gatehouse-7297b9ad84a1f5e3-20261201T034230Z-99999999999999999999.tar.zst", false},
		{".partial-gatehouse-7-20261201T034230Z-1.tar.zst", false},
		{"notes.txt", false},
	} {
		name, is := ParseName(tc.file)
		if is != tc.is || is && name.String() != tc.file {
			t.Errorf("%s is %v, %v", tc.file, name, is)
		}
	}
}

func TestWhichBackupsAreKept(t *testing.T) {
	const own, other = "a", "b"
	// An hourly backup for 60 days, made at 7 minutes past.
	var all []Name
	end := at("2026-12-01T12:07:00Z")
	for i := range 60 * 24 {
		all = append(all, Name{Cluster: own, Time: end.Add(-time.Duration(i) * time.Hour), Revision: 1})
	}
	all = append(all,
		Name{Cluster: own, Time: end.Add(-30 * time.Minute), Revision: 2},
		Name{Cluster: other, Time: end.Add(-1000 * time.Hour), Revision: 3},
	)
	for i := range 5 {
		all = append(all, Name{Cluster: own, Time: end.Add(-time.Duration(i) * time.Minute), Revision: 4, Damaged: true})
	}
	gone := map[Name]bool{}
	for _, name := range DefaultRetention().Expired(own, all) {
		gone[name] = true
	}
	var kept []time.Time
	damaged, others := 0, 0
	for _, name := range all {
		switch {
		case gone[name]:
		case name.Damaged:
			damaged++
		case name.Cluster == other:
			others++
		default:
			kept = append(kept, name.Time)
		}
	}
	// 24 hours, 11:37 being of the same hour as 11:07 and newer; five days that are no part of them; two weeks that are
	// no part of those.
	if damaged != keptDamaged || others != 1 {
		t.Errorf("%d damaged ones and %d of others are kept", damaged, others)
	}
	days, weeks := map[string]bool{}, map[int]bool{}
	for _, at := range kept {
		days[at.Format(time.DateOnly)] = true
		_, week := at.ISOWeek()
		weeks[week] = true
	}
	if len(kept) < 24+5 || len(kept) > 24+7+4 || len(days) < 7 || len(weeks) < 4 {
		t.Errorf("%d are kept, of %d days and %d weeks: %v", len(kept), len(days), len(weeks), kept)
	}
	if oldest := kept[len(kept)-2]; end.Sub(oldest) < 15*24*time.Hour {
		t.Errorf("the oldest is of %v", oldest)
	}
	if gone[all[0]] || !gone[all[1+24]] {
		t.Error("the newest one must be kept, and one of yesterday that is not the last of its day must not")
	}
	if again := DefaultRetention().Expired(own, remaining(all, gone)); len(again) > 0 {
		t.Errorf("a second run removes %v", again)
	}
}

func remaining(all []Name, gone map[Name]bool) []Name {
	var left []Name
	for _, name := range all {
		if !gone[name] {
			left = append(left, name)
		}
	}
	return left
}
