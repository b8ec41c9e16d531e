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

package space

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

func TestResourcesAreCountedByBytes(t *testing.T) {
	etcd, client := member(t)
	for key, size := range map[string]int{
		"/registry/secrets/default/a": 1000, "/registry/secrets/default/b": 3000, "/registry/fleet.gatehouse.dev/apps/default/a": 500, "compact_rev_key": 1,
	} {
		if _, err := client.Put(t.Context(), key, strings.Repeat("x", size)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2*maxPage + 1 { // several pages
		if _, err := client.Put(t.Context(), fmt.Sprintf("/registry/configmaps/default/%03d", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Connect(t.Context(), storage.Connection{Endpoints: etcd.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	usage, err := e.Usage(t.Context(), storage.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range usage.Resources {
		got = append(got, fmt.Sprintf("%s %d %d %s %d", r.Resource, r.Objects, r.Bytes, r.Largest, r.LargestBytes))
	}
	want := []string{
		"configmaps 201 6633 /registry/configmaps/default/000 33",
		"secrets 2 4054 /registry/secrets/default/b 3027",
		"apps.fleet.gatehouse.dev 1 544 /registry/fleet.gatehouse.dev/apps/default/a 544",
		"(other keys) 1 16 compact_rev_key 16",
	}
	if !slices.Equal(got, want) || usage.Objects != 205 || usage.Bytes != 11247 {
		t.Errorf("got %d objects, %d bytes\n%s\nwant\n%s", usage.Objects, usage.Bytes, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if largest := usage.Largest(); largest != "configmaps 6.5 KiB (58 %), secrets 4.0 KiB (36 %), apps.fleet.gatehouse.dev 544 B (4 %)" {
		t.Error(largest)
	}
}

func TestPagesGetSmallerWithLargerObjects(t *testing.T) {
	for _, row := range []struct {
		name              string
		last, bytes, want int64
	}{
		{"tiny objects", firstPage, firstPage * 100, 64},
		{"tiny objects after a full page", maxPage, maxPage * 100, maxPage},
		{"objects of a megabyte", 32, 32 << 20, 4},
		{"objects of 3 MB", maxPage, maxPage * 3 << 20, minPage},
		{"an empty page", firstPage, 0, 64},
	} {
		if got := nextPage(row.last, row.bytes); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
}

func TestMembersAreDefragmentedFollowersFirstAndOnlyIfAllAreHealthy(t *testing.T) {
	leader, follower, other := Member{ID: 1, Name: "a", Leader: true}, Member{ID: 2, Name: "b"}, Member{ID: 3, Name: "c"}
	with := func(m Member, change func(*Member)) Member {
		change(&m)
		return m
	}
	for _, row := range []struct {
		name     string
		members  []Member
		blocking bool
		order    string
		err      string
	}{
		{"three healthy members", []Member{leader, follower, other}, false, "b 2, c 3, a 1", ""},
		{"a lone member", []Member{leader}, false, "", "--allow-blocking"},
		{"a lone member by request", []Member{leader}, true, "a 1", ""},
		{"a lone member that is full", []Member{with(leader, func(m *Member) { m.NoSpace = true })}, false, "a 1", ""},
		{"a member does not respond", []Member{leader, follower, with(other, func(m *Member) { m.Err = errors.New("connection refused") })}, true, "", "member c 3 is unhealthy (connection refused)"},
		{"a learner", []Member{leader, follower, with(other, func(m *Member) { m.Learner = true })}, true, "", "member c 3 is a learner"},
		{"inconsistent data", []Member{leader, with(follower, func(m *Member) { m.Corrupt = true })}, true, "", "member b 2 are inconsistent"},
		{"members on other machines", []Member{leader, with(follower, func(m *Member) { m.Elsewhere, m.Err = true, errElsewhere }), with(other, func(m *Member) { m.Elsewhere, m.Err = true, errElsewhere })}, false, "a 1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			order, err := plan(row.members, row.blocking)
			var names []string
			for i := range order {
				names = append(names, order[i].String())
			}
			if got := strings.Join(names, ", "); got != row.order || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
				t.Errorf("got %q, %v; want %q, %q", got, err, row.order, row.err)
			}
		})
	}
}

func TestALoneMemberIsDefragmentedByRequestOnly(t *testing.T) {
	etcd, client := member(t)
	for i := range 40 {
		if _, err := client.Put(t.Context(), secret(0), strings.Repeat(fmt.Sprint(i%10), 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Connect(t.Context(), storage.Connection{Endpoints: etcd.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	revision, err := e.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Compact(t.Context(), revision+1000); err == nil || !strings.Contains(err.Error(), "does not exist yet") {
		t.Errorf("a future revision: %v", err)
	}
	for range 2 { // the second does nothing
		if err := e.Compact(t.Context(), revision); err != nil {
			t.Fatal(err)
		}
	}
	var notes bytes.Buffer
	if err := e.Defragment(t.Context(), false, &notes); !errors.Is(err, errBlocks) {
		t.Errorf("got %v", err)
	}
	before, _ := etcd.Size()
	if err := e.Defragment(t.Context(), true, &notes); err != nil {
		t.Fatal(err)
	}
	if after, _ := etcd.Size(); after > before/4 || !strings.Contains(notes.String(), " (leader): ") {
		t.Errorf("%d bytes of %d: %s", after, before, &notes)
	}
}

func TestMembersTakeTurns(t *testing.T) {
	own := Member{ID: 20}
	elsewhere := func(id uint64) Member { return Member{ID: id, Elsewhere: true} }
	three := []Member{elsewhere(30), own, elsewhere(10)}
	for at, want := range map[time.Duration]bool{0: false, turn: true, 2*turn - 1: true, 2 * turn: false, 4 * turn: true} {
		if got := myTurn(three, time.Unix(0, int64(at))); got != want {
			t.Errorf("after %v: %v, want %v", at, got, want)
		}
	}
	if !myTurn([]Member{own}, time.Unix(0, 0)) {
		t.Error("a lone member waits")
	}
	if myTurn([]Member{own, {ID: 3, Learner: true, Elsewhere: true}}, time.Unix(0, int64(turn))) {
		t.Error("a member is blocked while a learner receives data")
	}
}

func TestNoMemberRespondsIsSaidWithTheReason(t *testing.T) {
	e, err := Connect(t.Context(), storage.Connection{Endpoints: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Members(t.Context()); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}
