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
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// keptDeletions is the number of members that have left the cluster which watches still report.
const keptDeletions = 64

// store has the objects of the last poll, and the versions in which they changed. A version is the time in
// microseconds, or one more than the last one, so that those of a server are higher after a restart.
type store struct {
	storeMu sync.RWMutex
	entries []*entry
	// deleted are members that have left the cluster, the oldest first.
	deleted []deletion
	// first is the version before which changes are not known, and version that of the last change.
	first, version uint64
	// changed is closed and replaced on a change.
	changed chan struct{}
}

type entry struct {
	object *diagnostics.StorageMember
	// added and modified are the versions of the addition and of the last change.
	added, modified uint64
}

type deletion struct {
	object  *diagnostics.StorageMember
	version uint64
}

// put replaces the objects.
func (s *store) put(objects []*diagnostics.StorageMember, now time.Time) {
	s.storeMu.Lock()
	defer s.storeMu.Unlock()
	if s.version == 0 {
		s.version = uint64(now.UnixMicro())
		s.first = s.version
	}
	before, floor := s.version, uint64(now.UnixMicro())
	next := func() uint64 {
		s.version = max(s.version+1, floor)
		return s.version
	}
	kept := map[string]*entry{}
	for _, e := range s.entries {
		kept[e.object.Name] = e
	}
	var entries []*entry
	for _, object := range objects {
		e := kept[object.Name]
		delete(kept, object.Name)
		switch {
		case e == nil:
			version := next()
			e = &entry{added: version, modified: version}
		case same(e.object, object):
			entries = append(entries, e)
			continue
		default:
			e = &entry{added: e.added, modified: next()}
		}
		object.ResourceVersion = strconv.FormatUint(e.modified, 10)
		e.object = object
		entries = append(entries, e)
	}
	for _, e := range s.entries {
		if kept[e.object.Name] != nil {
			s.deleted = append(s.deleted, deletion{e.object, next()})
		}
	}
	if excess := len(s.deleted) - keptDeletions; excess > 0 {
		s.first = s.deleted[excess-1].version
		s.deleted = slices.Delete(s.deleted, 0, excess)
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.added, b.added) })
	s.entries = entries
	if s.version != before {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// same reports whether two objects differ in nothing but their version.
func same(a, b *diagnostics.StorageMember) bool {
	c := *b
	c.ResourceVersion = a.ResourceVersion
	return equality.Semantic.DeepEqual(a, &c)
}

// copies returns copies of the objects, in the order in which they were first seen, and the version of the list.
func (s *store) copies() (all []*diagnostics.StorageMember, version uint64) {
	s.storeMu.RLock()
	defer s.storeMu.RUnlock()
	for _, e := range s.entries {
		all = append(all, e.object.DeepCopy())
	}
	return all, s.version
}

// Get returns the member with a name, or nil.
func (s *store) Get(name string, visible func(*diagnostics.StorageMember) bool) *diagnostics.StorageMember {
	all, _ := s.copies()
	for _, object := range all {
		if object.Name == name && visible(object) {
			return object
		}
	}
	return nil
}

// List calls visit with the members in the order in which they were first seen, and returns the version of the
// list. Members that have left it are no reason to repeat a list.
func (s *store) List(visit func(*diagnostics.StorageMember)) (version, gone uint64) {
	all, version := s.copies()
	for _, object := range all {
		visit(object)
	}
	return version, 0
}

// Order returns the version in which a member was first seen.
func (s *store) Order(member *diagnostics.StorageMember) uint64 {
	s.storeMu.RLock()
	defer s.storeMu.RUnlock()
	for _, e := range s.entries {
		if e.object.Name == member.Name {
			return e.added
		}
	}
	return 0
}

// change is a change of a member.
type change struct {
	object  *diagnostics.StorageMember
	kind    watch.EventType
	version uint64
}

// Since calls visit with the members that have changed after a version, in the order of versions. Of several
// changes of a member it reports the last one. It returns the version of the last change, and a channel that is
// closed on the next one. ok is false if changes after the version are not known.
func (s *store) Since(version uint64, visit func(member *diagnostics.StorageMember, kind watch.EventType, version uint64)) (last uint64, next <-chan struct{}, ok bool) {
	changes, last, next, ok := s.changesAfter(version)
	for _, c := range changes {
		visit(c.object, c.kind, c.version)
	}
	return last, next, ok
}

func (s *store) changesAfter(version uint64) (changes []change, last uint64, next <-chan struct{}, ok bool) {
	s.storeMu.RLock()
	defer s.storeMu.RUnlock()
	if version < s.first || version > s.version {
		return nil, 0, nil, false
	}
	for _, e := range s.entries {
		switch {
		case e.added > version:
			changes = append(changes, change{e.object.DeepCopy(), watch.Added, e.modified})
		case e.modified > version:
			changes = append(changes, change{e.object.DeepCopy(), watch.Modified, e.modified})
		}
	}
	for _, d := range s.deleted {
		if d.version > version {
			changes = append(changes, change{d.object.DeepCopy(), watch.Deleted, d.version})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	return changes, s.version, s.changed, true
}
