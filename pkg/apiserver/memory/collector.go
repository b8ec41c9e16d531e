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
	"context"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// defaultPercent and highestPercent bound GOGC: Go's default, and the value above which the collector has so
	// small a share of the CPU time that less is not worth the memory.
	defaultPercent, highestPercent = 100, 400
	// unlimitedGarbage bounds the garbage between two collections, in bytes, of a process without a memory limit,
	// unless the live heap is larger.
	unlimitedGarbage = 192 << 20
	// busyInterval is the interval between collections, with the default, below which the process is busy.
	busyInterval = 5 * time.Second
	// averaged is the time over which the rate of allocation is averaged.
	averaged = 3 * time.Second
	// sampled is the interval at which the collector is adapted. The live heap changes with collections only.
	sampled = time.Second
	// quietBeforeRelease is the time without load after which memory is returned to the kernel. A load that comes
	// back has to get it again, by page faults.
	quietBeforeRelease = 30 * time.Second
	// worthReleasing is the memory for which that is done, in bytes.
	worthReleasing = 64 << 20
)

// Percent returns the value of GOGC for a live heap and a rate of allocation, in bytes and bytes per second, of a
// process that may use limit bytes; 0 for no limit.
//
// A collection costs as much as the live heap is large, so the collector's share of the CPU time is lower the more
// garbage is allowed between two. Live heap and garbage have three quarters of the limit: Go's own limit, which Budget
// sets, is above that, and what is reserved for large requests is in between. A process that is not busy has the
// default, because it collects seldom anyway, and would only keep more memory.
func Percent(limit, live int64, rate float64) int {
	if !busy(live, rate) {
		return defaultPercent
	}
	live = max(live, 1)
	garbage := max(live, unlimitedGarbage)
	if limit > 0 {
		garbage = limit/4*3 - live
	}
	// By floats, because the product of bytes and percents may overflow.
	return max(defaultPercent, int(min(highestPercent, float64(garbage)*100/float64(live))))
}

// busy reports whether a process with the default would collect more than once in the interval.
func busy(live int64, rate float64) bool { return rate*busyInterval.Seconds() > float64(live) }

// Collector adapts Go's garbage collector to the load: see Percent. When a load is over, it returns memory to the
// kernel once.
type Collector struct {
	limit   int64
	percent int
	rate    float64
	last    reading
	quiet   time.Duration
	// released is true after the memory of the last load was returned.
	released bool

	read    func() reading
	set     func(percent int)
	release func()
}

// reading is the state of the heap.
type reading struct {
	// live is the heap after the last collection, and allocated all that was ever allocated, in bytes.
	live, allocated int64
	// unused is the memory that a collection could return to the kernel, in bytes.
	unused int64
}

// Collector returns the collector of the process, or nil if GOGC is set: then it is the operator's choice. Without
// another limit, that of GOMEMLIMIT is the limit.
func (o *Options) Collector(root fs.FS) *Collector {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	limit := o.Bytes(root)
	if set := debug.SetMemoryLimit(-1); set < math.MaxInt64 && (limit == 0 || set < limit) {
		limit = set
	}
	return newCollector(limit, readHeap, func(percent int) { debug.SetGCPercent(percent) }, debug.FreeOSMemory)
}

func newCollector(limit int64, read func() reading, set func(int), release func()) *Collector {
	return &Collector{limit: limit, percent: defaultPercent, read: read, set: set, release: release, released: true}
}

// Run adapts the collector until the context ends, and then restores the default. A nil Collector does nothing.
func (c *Collector) Run(ctx context.Context) {
	if c == nil {
		return
	}
	defer c.set(defaultPercent)
	c.begin()
	ticker := time.NewTicker(sampled)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.step(sampled)
		}
	}
}

// begin assumes a busy process: a start decodes all stored objects.
func (c *Collector) begin() {
	c.last = c.read()
	c.rate = float64(c.last.live + 1) // one live heap in a second
	c.adapt(c.last.live)
}

// step adapts the collector to what happened in the time since the last step.
func (c *Collector) step(elapsed time.Duration) {
	now := c.read()
	rate := float64(now.allocated-c.last.allocated) / elapsed.Seconds()
	c.rate += (rate - c.rate) * min(1, elapsed.Seconds()/averaged.Seconds())
	c.last = now
	c.adapt(now.live)

	if busy(now.live, c.rate) {
		c.quiet, c.released = 0, false
		return
	}
	if c.quiet += elapsed; c.quiet >= quietBeforeRelease && !c.released {
		c.released = true
		if now.unused > worthReleasing {
			c.release()
		}
	}
}

// adapt sets the percentage if it differs by a fifth: each change stops the process for a moment.
func (c *Collector) adapt(live int64) {
	wanted := Percent(c.limit, live, c.rate)
	difference := max(wanted-c.percent, c.percent-wanted)
	if difference*5 < c.percent && (wanted != defaultPercent || c.percent == defaultPercent) {
		return
	}
	c.percent = wanted
	collectorPercent.Set(float64(wanted))
	c.set(wanted)
}

// heapMetrics are those of a reading, in its order. The last two are free memory of the heap that the kernel
// has not got back.
var heapMetrics = []string{
	"/gc/heap/live:bytes", "/gc/heap/allocs:bytes",
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
}

// readHeap reads the heap of this process.
func readHeap() reading {
	samples := make([]metrics.Sample, len(heapMetrics))
	for i, name := range heapMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	value := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(samples[i].Value.Uint64())
	}
	live := value(0)
	return reading{live: live, allocated: value(1), unused: max(0, value(2)-live) + value(3) + value(4)}
}
