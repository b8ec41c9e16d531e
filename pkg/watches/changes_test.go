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

package watches

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// follower reads the changes of a registry.
type follower struct {
	registry *Registry
	version  uint64
}

// changes returns the kinds and the resources of the changes since the last call.
func (f *follower) changes(t *testing.T) (all []string) {
	t.Helper()
	last, _, ok := f.registry.Since(f.version, func(session *diagnostics.WatchSession, kind watch.EventType, _ uint64) {
		all = append(all, fmt.Sprintf("%s %s", kind, session.Request.Resource))
	})
	if !ok {
		t.Fatal("the changes are lost")
	}
	f.version = last
	return all
}

// tick samples as the goroutine of followers does.
func tickAfter(clock *testingclock.FakeClock, registry *Registry, after time.Duration) {
	clock.Step(after)
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.sample()
}

func TestChangesOfAWatchAreReportedOnceASecond(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Now())
	registry := NewRegistry(clock)
	follow := &follower{registry: registry}
	follow.version, _ = registry.List(func(*diagnostics.WatchSession) {})
	expect := func(what string, want ...string) {
		t.Helper()
		got := follow.changes(t)
		slices.Sort(got) // one tick numbers the watches in any order
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	pods, self := begin(t, registry, "pods"), begin(t, registry, resource)
	self.resource.Group = diagnostics.GroupName
	expect("two watches begin", "ADDED pods", "ADDED watchsessions")
	pods.events.Add(1)
	self.events.Add(1)
	tickAfter(clock, registry, time.Second)
	expect("both have events, and one is a watch of watches", "MODIFIED pods")
	for range 3 {
		pods.events.Add(1)
		tickAfter(clock, registry, tick)
	}
	expect("events come within the second after that")
	tickAfter(clock, registry, tick)
	expect("the second is over", "MODIFIED pods")
	tickAfter(clock, registry, time.Minute)
	expect("nothing happens")
	pods.beginWrite()
	self.beginWrite()
	tickAfter(clock, registry, BlockedAfter)
	expect("both are blocked", "MODIFIED pods", "MODIFIED watchsessions")
	pods.endWrite(nil)
	tickAfter(clock, registry, tick)
	expect("one is no longer blocked", "MODIFIED pods")
	registry.end(t.Context(), pods)
	expect("it ends", "MODIFIED pods")
	begin(t, registry, "secrets")
	for range keptEnded {
		registry.end(t.Context(), begin(t, registry, "secrets"))
	}
	if got := follow.changes(t); got[0] != "ADDED secrets" || !slices.Contains(got, "DELETED pods") {
		t.Errorf("more watches end than are kept: %v", got)
	}
}

func TestVersionsThatAreNotKnownAreRefused(t *testing.T) {
	registry := NewRegistry(testingclock.NewFakeClock(time.Now()))
	start, _ := registry.List(func(*diagnostics.WatchSession) {})
	for range keptEnded + keptRemoved {
		registry.end(t.Context(), begin(t, registry, "pods"))
	}
	now, _ := registry.List(func(*diagnostics.WatchSession) {})
	registry.end(t.Context(), begin(t, registry, "pods"))
	for _, row := range []struct {
		name    string
		version uint64
		want    bool
	}{
		{"a version of another start", start - 1, false},
		{"a version whose removals are forgotten", start, false},
		{"the version of a list", now, true},
		{"a version of the future", now + 10, false},
	} {
		if _, _, ok := registry.Since(row.version, func(*diagnostics.WatchSession, watch.EventType, uint64) {}); ok != row.want {
			t.Errorf("%s: known: %v, want %v", row.name, ok, row.want)
		}
	}
}

func TestAFollowerIsWokenByTheClock(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Now())
	registry := NewRegistry(clock)
	pods := begin(t, registry, "pods")
	version, _ := registry.List(func(*diagnostics.WatchSession) {})
	for range 2 { // a second follower begins after the first has left
		stop := registry.Follow()
		_, next, _ := registry.Since(version, func(*diagnostics.WatchSession, watch.EventType, uint64) {})
		pods.events.Add(1)
		clock.Step(modifiedAfter)
		<-next
		version, _ = registry.List(func(*diagnostics.WatchSession) {})
		stop()
	}
}
