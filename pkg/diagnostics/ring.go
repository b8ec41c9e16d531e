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
	"cmp"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// ringKind is a class of records. Each class has a ring of its own, so that one does not displace
// another.
type ringKind uint8

const (
	allowed ringKind = iota
	refused
	// unauthenticated records are those that anybody can cause.
	unauthenticated
	ringKinds
)

// forgotten is the number of records of each class that are kept after they have left the list, for
// watches, which report them as deleted.
const forgotten = 1024

// ring keeps the latest records of a class, in the order of their sequence.
type ring struct {
	slots []*Record
	// pushed is the number of records that were ever added.
	pushed int
	// size is the number of records in the list; the others in slots are forgotten ones.
	size int
	// lost is the sequence of the newest record that is no longer in slots.
	lost uint64
}

func (r *ring) push(record *Record) {
	slot := &r.slots[r.pushed%len(r.slots)]
	if *slot != nil {
		r.lost = (*slot).sequence
	}
	*slot = record
	r.pushed++
}

// at returns the record that was pushed as the given one.
func (r *ring) at(index int) *Record { return r.slots[index%len(r.slots)] }

// first is the index of the oldest record in the list, and oldest that of the oldest in memory.
func (r *ring) first() int  { return max(0, r.pushed-r.size) }
func (r *ring) oldest() int { return max(0, r.pushed-len(r.slots)) }

// after returns the index of the first record in memory with a higher version.
func (r *ring) after(version uint64) int {
	oldest := r.oldest()
	return oldest + sort.Search(r.pushed-oldest, func(i int) bool { return versionOf(r.at(oldest+i)) > version })
}

// versionOf returns the resource version of a record. The one before it is that of the deletion of the
// record that left the list for it.
func versionOf(r *Record) uint64 { return 2 * r.sequence }

// rings keep the records of all classes.
type rings struct {
	mu    sync.Mutex
	rings [ringKinds]ring
	// first and last are the sequences before the first record, and of the latest one.
	first, last uint64
	// watching is the number of watches, and changed is closed and replaced on a change while it is
	// not 0.
	watching atomic.Int32
	changed  chan struct{}
}

// newRings returns rings of the size. start is lower than the sequence of every record.
func newRings(size int, start uint64) *rings {
	r := &rings{first: start, last: start, changed: make(chan struct{})}
	for i := range r.rings {
		r.rings[i] = ring{slots: make([]*Record, size+min(size, forgotten)), size: size, lost: start}
	}
	return r
}

// add keeps a record and numbers it.
func (r *rings) add(kind ringKind, record *Record) {
	r.mu.Lock()
	r.last++
	record.sequence = r.last
	r.rings[kind].push(record)
	var changed chan struct{}
	if r.watching.Load() > 0 {
		changed, r.changed = r.changed, make(chan struct{})
	}
	r.mu.Unlock()
	if changed != nil {
		close(changed)
	}
}

// list returns the records in the list, the oldest first, the version of the list, and that of the newest
// record that has left it.
func (r *rings) list() (all []*Record, version, gone uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.rings {
		if first := r.rings[i].first(); first > 0 {
			gone = max(gone, versionOf(r.rings[i].at(first-1)))
		}
		for j := r.rings[i].first(); j < r.rings[i].pushed; j++ {
			all = append(all, r.rings[i].at(j))
		}
	}
	slices.SortFunc(all, func(a, b *Record) int { return cmp.Compare(a.sequence, b.sequence) })
	return all, 2 * r.last, gone
}

// latest returns up to the number of the newest records of a class, the newest first.
func (r *rings) latest(kind ringKind, number int) []*Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	ring := &r.rings[kind]
	first := max(ring.first(), ring.pushed-number)
	all := make([]*Record, 0, ring.pushed-first)
	for i := ring.pushed - 1; i >= first; i-- {
		all = append(all, ring.at(i))
	}
	return all
}

// change is a record that was added, or that has left the list.
type change struct {
	record  *Record
	deleted bool
	version uint64
}

// since returns the changes after a version, in order, the version of the last one, and a channel that is
// closed on the next one. ok is false if some changes are no longer known, or if the version is not of
// this server.
func (r *rings) since(version uint64) (changes []change, last uint64, next <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if version > 2*r.last || version < 2*r.first {
		return nil, 0, nil, false
	}
	for i := range r.rings {
		ring := &r.rings[i]
		if 2*ring.lost > version {
			return nil, 0, nil, false
		}
		for j := ring.after(version); j < ring.pushed; j++ {
			added := versionOf(ring.at(j))
			if gone := j - ring.size; gone >= 0 && added-1 > version {
				if gone < ring.oldest() {
					return nil, 0, nil, false
				}
				changes = append(changes, change{ring.at(gone), true, added - 1})
			}
			changes = append(changes, change{ring.at(j), false, added})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	return changes, 2 * r.last, r.changed, true
}
