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

package memory

import (
	"runtime/debug"
	"slices"
	"testing"
	"testing/fstest"
	"time"
)

func TestPercentFollowsTheHeapAndTheLimit(t *testing.T) {
	const mib, gib = int64(1) << 20, int64(1) << 30
	for _, test := range []struct {
		name        string
		limit, live int64
		// rate is in bytes per second.
		rate int64
		want int
	}{
		{name: "a busy process with a small heap and a large limit", limit: 4 * gib, live: 50 * mib, rate: 100 * mib, want: 400},
		{name: "a heap of a quarter of the limit", limit: gib, live: 256 * mib, rate: 100 * mib, want: 200},
		{name: "a heap near the limit", limit: gib, live: 700 * mib, rate: 100 * mib, want: 100},
		{name: "a heap above the limit", limit: gib, live: 2 * gib, rate: gib, want: 100},
		{name: "a process that is not busy", limit: 4 * gib, live: 50 * mib, rate: 9 * mib, want: 100},
		{name: "a process that has just become busy", limit: 4 * gib, live: 50 * mib, rate: 11 * mib, want: 400},
		{name: "no limit and a small heap", live: 48 * mib, rate: 100 * mib, want: 400},
		{name: "no limit and a heap of half the garbage", live: 96 * mib, rate: 100 * mib, want: 200},
		{name: "no limit and a large heap", live: 2 * gib, rate: gib, want: 100},
		{name: "a large heap with a larger limit", limit: 1 << 50, live: 1 << 45, rate: 1 << 45, want: 400},
		{name: "a process that has allocated nothing", limit: gib, want: 100},
		{name: "a process before its first collection", limit: gib, rate: mib, want: 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Percent(test.limit, test.live, float64(test.rate)); got != test.want {
				t.Errorf("got %d, not %d", got, test.want)
			}
		})
	}
}

// heap is a process whose heap a test decides.
type heap struct {
	reading
	percents []int
	released int
	c        *Collector
}

func newHeap(limit, live int64) *heap {
	h := &heap{reading: reading{live: live}}
	h.c = newCollector(limit, func() reading { return h.reading }, func(percent int) { h.percents = append(h.percents, percent) }, func() { h.released++ })
	h.c.begin()
	return h
}

// run allocates so much in each of so many seconds.
func (h *heap) run(seconds int, each int64) {
	for range seconds {
		h.allocated += each
		h.c.step(time.Second)
	}
}

func TestTheCollectorFollowsALoadAndReleasesMemoryAfterIt(t *testing.T) {
	h := newHeap(4<<30, 100<<20)
	h.run(60, 0)
	if want := []int{400, 100}; !slices.Equal(h.percents, want) {
		t.Errorf("a start sets %v, not %v", h.percents, want)
	}
	if h.released != 0 {
		t.Error("memory is released although there was no load")
	}
	h.percents = nil
	h.run(60, 200<<20)
	h.live = 110 << 20
	h.run(60, 200<<20)
	if want := []int{400}; !slices.Equal(h.percents, want) {
		t.Errorf("a load sets %v, not %v", h.percents, want)
	}
	h.percents, h.unused = nil, 300<<20
	h.run(20, 1<<20)
	if want := []int{100}; !slices.Equal(h.percents, want) || h.released != 0 {
		t.Errorf("the end of the load sets %v, not %v, and releases memory %d times at once", h.percents, want, h.released)
	}
	h.run(300, 1<<20)
	if h.released != 1 {
		t.Errorf("after the load memory is released %d times, not once", h.released)
	}
	h.run(10, 200<<20)
	h.unused = 10 << 20
	h.run(300, 1<<20)
	if h.released != 1 {
		t.Error("memory is released although there is little of it")
	}
}

func TestTheCollectorChangesLittleForSmallDifferences(t *testing.T) {
	h := newHeap(1<<30, 200<<20) // 284
	h.live = 210 << 20           // 265
	h.run(10, 200<<20)
	h.live = 400 << 20 // 100, the default
	h.run(10, 200<<20)
	if want := []int{284, 100}; !slices.Equal(h.percents, want) {
		t.Errorf("sets %v, not %v", h.percents, want)
	}
}

func TestTheOperatorsChoiceOfGOGCStays(t *testing.T) {
	t.Setenv("GOGC", "")
	if (&Options{Limit: "1Gi"}).Collector(fstest.MapFS{}) == nil {
		t.Error("without GOGC, the collector is not adapted")
	}
	t.Setenv("GOGC", "100")
	c := (&Options{Limit: "1Gi"}).Collector(fstest.MapFS{})
	if c != nil {
		t.Error("GOGC is set, and the collector is adapted")
	}
	c.Run(t.Context()) // returns at once
}

func TestGOMEMLIMITIsALimitOfTheCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetMemoryLimit(300 << 20)
	defer debug.SetMemoryLimit(before)
	for _, test := range []struct {
		name, flag string
		want       int64
	}{
		{"no other limit", "0", 300 << 20},
		{"a lower one by the flag", "200Mi", 200 << 20},
		{"a higher one by the flag", "1Gi", 300 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (&Options{Limit: test.flag}).Collector(fstest.MapFS{}).limit; got != test.want {
				t.Errorf("limit %d, not %d", got, test.want)
			}
		})
	}
}

func TestTheHeapOfThisProcessIsRead(t *testing.T) {
	if got := readHeap(); got.allocated <= 0 || got.unused < 0 {
		t.Errorf("got %+v", got)
	}
}
