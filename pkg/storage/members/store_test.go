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
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// named returns members with an error each.
func named(members ...string) []*diagnostics.StorageMember {
	var all []*diagnostics.StorageMember
	for _, member := range members {
		name, text, _ := strings.Cut(member, "=")
		m := &diagnostics.StorageMember{Error: text}
		m.Name = name
		all = append(all, m)
	}
	return all
}

// changes returns the changes after a version.
func changes(t *testing.T, s *store, version uint64) ([]string, uint64) {
	t.Helper()
	var all []string
	latest := version
	last, _, ok := s.Since(version, func(m *diagnostics.StorageMember, kind watch.EventType, v uint64) {
		if v <= latest {
			t.Errorf("version %d comes after %d", v, latest)
		}
		latest = v
		all = append(all, fmt.Sprintf("%s %s=%s", kind, m.Name, m.Error))
	})
	if !ok {
		t.Fatalf("the changes after %d are not known", version)
	}
	return all, last
}

func TestTheChangesAfterAVersionAreTheLastOnesOfEachMember(t *testing.T) {
	s := &store{changed: make(chan struct{})}
	now := time.Now()
	s.put(named("a=1", "b=1"), now)
	start, _ := s.List(func(*diagnostics.StorageMember) {})
	s.put(named("a=1", "b=2"), now.Add(time.Second))
	s.put(named("a=1", "b=3", "c=1"), now.Add(2*time.Second))
	got, last := changes(t, s, start)
	if want := []string{"MODIFIED b=3", "ADDED c=1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, next, _ := s.Since(last, func(*diagnostics.StorageMember, watch.EventType, uint64) {})
	s.put(named("a=1", "b=3", "c=1"), now.Add(3*time.Second))
	select {
	case <-next:
		t.Error("the channel is closed without a change")
	default:
	}
	s.put(named("a=1", "c=1"), now.Add(4*time.Second))
	<-next
	if got, _ := changes(t, s, last); !slices.Equal(got, []string{"DELETED b=3"}) {
		t.Errorf("got %v", got)
	}
	if got, _ := changes(t, s, start); !slices.Equal(got, []string{"ADDED c=1", "DELETED b=3"}) {
		t.Errorf("since the start: %v", got)
	}
	var order []uint64
	s.List(func(m *diagnostics.StorageMember) { order = append(order, s.Order(m)) })
	if len(order) != 2 || order[0] >= order[1] {
		t.Errorf("the order is %v", order)
	}
	for _, unknown := range []uint64{1, uint64(now.Add(time.Hour).UnixMicro())} {
		if _, _, ok := s.Since(unknown, func(*diagnostics.StorageMember, watch.EventType, uint64) {}); ok {
			t.Errorf("the changes after %d are known", unknown)
		}
	}
}

func TestDeletionsThatAreForgottenMakeVersionsUnknown(t *testing.T) {
	s := &store{changed: make(chan struct{})}
	s.put(named("a"), time.Now())
	start, _ := s.List(func(*diagnostics.StorageMember) {})
	for i := range keptDeletions + 1 {
		s.put(named(fmt.Sprintf("m%d", i)), time.Now())
	}
	if _, _, ok := s.Since(start, func(*diagnostics.StorageMember, watch.EventType, uint64) {}); ok {
		t.Error("a watch would miss the deletion of a")
	}
}
