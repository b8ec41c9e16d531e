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
	"runtime/metrics"
	"sync"
)

// Budget reserves parts of a limit.
type Budget struct {
	limit int64
	used  func() int64

	lock     sync.Mutex
	reserved int64
}

// NewBudget returns a budget of the limit, in bytes. used returns the bytes that a garbage collection
// does not free: Live, except in tests.
func NewBudget(limit int64, used func() int64) *Budget {
	return &Budget{limit: limit, used: used}
}

// margin is the part of the limit that is never reserved, an eighth: memory for the collector, pages of
// the database file, and errors of the estimates.
func (b *Budget) margin() int64 { return b.limit / 8 }

// largestShare bounds the reservation of one request: a higher estimate would refuse it forever.
func (b *Budget) largestShare() int64 { return b.limit / 4 }

// Reserve reserves the bytes until release is called. It returns false if fewer are left.
func (b *Budget) Reserve(bytes int64) (release func(), ok bool) {
	bytes = min(bytes, b.largestShare())
	used := b.used()
	b.lock.Lock()
	defer b.lock.Unlock()
	if used+b.reserved+bytes > b.limit-b.margin() {
		return nil, false
	}
	b.reserved += bytes
	reservedBytes.Set(float64(b.reserved))
	return sync.OnceFunc(func() {
		b.lock.Lock()
		defer b.lock.Unlock()
		b.reserved -= bytes
		reservedBytes.Set(float64(b.reserved))
	}), true
}

// Apply sets the limit of the garbage collector to the limit without the margin, unless GOMEMLIMIT is
// lower.
func (b *Budget) Apply() {
	limitBytes.Set(float64(b.limit))
	if wanted := b.limit - b.margin(); debug.SetMemoryLimit(-1) > wanted {
		debug.SetMemoryLimit(wanted)
	}
}

// live are the parts of Go's memory that a collection does not free.
var live = []string{
	"/gc/heap/live:bytes",
	"/memory/classes/heap/stacks:bytes",
	"/memory/classes/metadata/mcache/inuse:bytes",
	"/memory/classes/metadata/mspan/inuse:bytes",
	"/memory/classes/metadata/other:bytes",
	"/memory/classes/profiling/buckets:bytes",
	"/memory/classes/other:bytes",
}

// Live returns the bytes of the heap after the last garbage collection, of stacks and of the runtime.
// Reservations cover later allocations.
func Live() int64 {
	samples := make([]metrics.Sample, len(live))
	for i, name := range live {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var sum uint64
	for _, sample := range samples {
		if sample.Value.Kind() == metrics.KindUint64 {
			sum += sample.Value.Uint64()
		}
	}
	return int64(sum)
}
