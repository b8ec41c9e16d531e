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
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

type atomicCounter = atomic.Int64

// session is the record of one watch. Only the goroutine that serves the watch writes to it, except for the
// fields that the lock of the registry guards.
type session struct {
	registry *Registry

	// These do not change.
	auditID, user, uid, agent, address            string
	resource                                      schema.GroupVersionResource
	namespace, name                               string
	labelSelector, fieldSelector, resourceVersion string
	initialEvents                                 bool
	source                                        diagnostics.WatchSource
	started                                       time.Time

	events, bytes atomic.Int64
	// writing is the start of the current write and written the end of the last one, in nanoseconds after the
	// epoch; 0 for none. longest is the duration of the longest.
	writing, written, longest atomic.Int64
	compressed                atomic.Bool

	// These are of the goroutine that serves the watch. run is the number of events since the last flush, and
	// lastRun that of the events of the last flush: the server flushes when no further event waits. lastTook
	// is the duration of the last write.
	begun, refused, webSocket bool
	run, lastRun              int
	lastTook                  time.Duration
	failed                    failure
	fromStorage               storageEnd

	// The lock of the registry guards these. added is the version in which the watch began, and version that
	// of its last change, for which seen has the state and marked the time after the epoch.
	added, version uint64
	seen           state
	marked         time.Duration
	ended          reason
	duration       time.Duration
}

// state is what changes while a watch is open.
type state struct{ events, bytes, blocked int64 }

// state returns the present state. blocked is the start of a write that has lasted for BlockedAfter; 0 for none.
func (s *session) state(now time.Duration) state {
	current := state{events: s.events.Load(), bytes: s.bytes.Load()}
	if began := s.writing.Load(); began != 0 && now-time.Duration(began) >= BlockedAfter {
		current.blocked = began
	}
	return current
}

// waited returns the duration of the current write.
func (s *session) waited() time.Duration {
	began := s.writing.Load()
	if began == 0 {
		return 0
	}
	return max(0, s.registry.sinceEpoch()-time.Duration(began))
}

// beginWrite records the start of a write or a flush; endWrite its end.
func (s *session) beginWrite() { s.writing.Store(int64(s.registry.sinceEpoch())) }

func (s *session) endWrite(err error) {
	now := int64(s.registry.sinceEpoch())
	took := now - s.writing.Swap(0)
	s.written.Store(now)
	if took > s.longest.Load() {
		s.longest.Store(took)
	}
	s.lastTook = time.Duration(took)
	if err != nil {
		s.failed = failedWrite
	}
}

// quiet reports whether the counters of a watch are no reason for an event: a watch of watches would
// cause the next event of itself by each event.
func (s *session) quiet() bool {
	return s.resource.Group == diagnostics.GroupName && s.resource.Resource == resource
}
