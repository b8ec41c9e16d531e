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
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// Get returns the newest trace with a name, or nil.
func (r *Recorder) Get(name string, visible func(*diagnostics.RequestTrace) bool) *diagnostics.RequestTrace {
	all, _, _ := r.rings.list()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].id != name {
			continue
		}
		if trace := all[i].trace(r.config.Server); visible(trace) {
			return trace
		}
	}
	return nil
}

// List calls visit with the kept traces, the oldest first, and returns the version of the list and that
// of the newest trace that is no longer in it.
func (r *Recorder) List(visit func(*diagnostics.RequestTrace)) (version, gone uint64) {
	all, version, gone := r.rings.list()
	for _, record := range all {
		visit(record.trace(r.config.Server))
	}
	return version, gone
}

// Since calls visit with the traces that were added or have left the list after a version, in order, and
// returns the version of the last one and a channel that is closed on the next change. ok is false if
// the changes are not known any more, or if the version is none of this server.
func (r *Recorder) Since(version uint64, visit func(trace *diagnostics.RequestTrace, kind watch.EventType, version uint64)) (last uint64, next <-chan struct{}, ok bool) {
	changes, last, next, ok := r.rings.since(version)
	for _, change := range changes {
		kind := watch.Added
		if change.deleted {
			kind = watch.Deleted
		}
		visit(change.record.trace(r.config.Server), kind, change.version)
	}
	return last, next, ok
}

// Follow makes Since report changes until the returned function is called.
func (r *Recorder) Follow() (stop func()) {
	r.rings.watching.Add(1)
	return func() { r.rings.watching.Add(-1) }
}
