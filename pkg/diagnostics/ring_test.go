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

package diagnostics

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

func ids(records []*Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, r.id)
	}
	return all
}

func TestAFloodOfAllowedRequestsDropsNoRefusal(t *testing.T) {
	r := newRings(16, 100)
	for i := range 16 {
		r.add(refused, &Record{id: fmt.Sprint("refused-", i)})
	}
	for i := range 1_000_000 {
		r.add(allowed, &Record{id: fmt.Sprint("allowed-", i%10)})
	}
	r.add(unauthenticated, &Record{id: "anonymous"})
	all, _, _ := r.list()
	left := 0
	for _, id := range ids(all) {
		if len(id) > 8 && id[:8] == "refused-" {
			left++
		}
	}
	if left != 16 || len(all) != 16+16+1 {
		t.Errorf("%d refusals of 16 are left, %d records of 33", left, len(all))
	}
}

func TestChangesAfterAVersionAreThoseThatMakeTheListOfTheNewOne(t *testing.T) {
	r := newRings(16, 1000)
	apply := map[string]bool{}
	_, version, _ := r.list()
	for i := range 200 {
		r.add(ringKind(i%int(ringKinds)), &Record{id: fmt.Sprint(i)})
		if i%7 != 0 {
			continue
		}
		changes, last, _, ok := r.since(version)
		if !ok {
			t.Fatalf("the changes after %d are lost", version)
		}
		before := version
		for _, c := range changes {
			if c.version <= before {
				t.Errorf("version %d follows %d", c.version, before)
			}
			before = c.version
			if c.deleted != apply[c.record.id] {
				t.Errorf("record %s: deleted is %v", c.record.id, c.deleted)
			}
			apply[c.record.id] = !c.deleted
		}
		version = last
	}
	changes, _, _, ok := r.since(version)
	if !ok {
		t.Fatal("the last changes are lost")
	}
	for _, c := range changes {
		apply[c.record.id] = !c.deleted
	}
	all, _, _ := r.list()
	for id, present := range apply {
		if present != slices.Contains(ids(all), id) {
			t.Errorf("record %s: by the changes it is in the list: %v", id, present)
		}
	}
}

func TestAResumedWatchMissesNothing(t *testing.T) {
	r := newRings(16, 1000)
	for i := range 40 {
		r.add(allowed, &Record{id: fmt.Sprint(i)})
	}
	_, now, _ := r.list()
	r.add(allowed, &Record{id: "new"})
	all, last, _, _ := r.since(now)
	for i := range all {
		rest, _, _, ok := r.since(all[i].version)
		if !ok || len(rest) != len(all)-i-1 {
			t.Errorf("after change %d of %d: %d changes, %v", i+1, len(all), len(rest), ok)
		}
	}
	if rest, _, _, ok := r.since(last); !ok || len(rest) != 0 {
		t.Errorf("after the last one: %d changes, %v", len(rest), ok)
	}
}

func TestVersionsThatAreNotKnownAreExpired(t *testing.T) {
	r := newRings(16, 1000)
	for i := range 100 {
		r.add(allowed, &Record{id: fmt.Sprint(i)})
	}
	_, now, _ := r.list()
	for _, row := range []struct {
		name    string
		version uint64
		ok      bool
	}{
		{"of an earlier start", 10, false},
		{"of the beginning", 2000, false},
		{"of the future", now + 2, false},
		{"the present one", now, true},
		{"a recent one", now - 8, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, _, _, ok := r.since(row.version); ok != row.ok {
				t.Errorf("known is %v", ok)
			}
		})
	}
}

func TestRingsAreSafeForConcurrentUse(t *testing.T) {
	r := newRings(32, 1)
	var work sync.WaitGroup
	for kind := range ringKinds {
		work.Go(func() {
			for i := range 2000 {
				r.add(kind, &Record{id: fmt.Sprint(kind, i)})
			}
		})
	}
	work.Go(func() {
		r.watching.Add(1)
		defer r.watching.Add(-1)
		for version := uint64(2); version < 2*6001; {
			_, last, next, ok := r.since(version)
			if !ok {
				_, last, _ = r.list()
			}
			if version = last; ok && version < 2*6001 {
				<-next
			}
		}
	})
	work.Wait()
}
