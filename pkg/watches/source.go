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
	"cmp"
	"net"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// resource is the resource of the records.
const resource = v1alpha1.WatchSessions

// nameBase is the base of the numbers that are names: that of the version in which a watch began.
const nameBase = 36

// Order returns the version in which the watch of a session began, by which sessions are sorted; 0 if the
// name is none that a registry makes.
func Order(session *diagnostics.WatchSession) uint64 {
	order, _ := strconv.ParseUint(session.Name, nameBase, 64)
	return order
}

// Get returns the visible session with a name, or nil.
func (r *Registry) Get(name string, visible func(*diagnostics.WatchSession) bool) *diagnostics.WatchSession {
	added, err := strconv.ParseUint(name, nameBase, 64)
	if err != nil {
		return nil
	}
	var found *diagnostics.WatchSession
	r.mu.Lock()
	r.sessions(func(s *session) {
		if s.added == added {
			found = s.object()
		}
	})
	r.mu.Unlock()
	if found == nil || found.Name != name || !visible(found) {
		return nil
	}
	return found
}

// List calls visit with the sessions, the oldest first, and returns the version of the list. A session that
// ends or is removed changes no page of a list: gone is that of the first version of this server.
func (r *Registry) List(visit func(*diagnostics.WatchSession)) (version, gone uint64) {
	r.mu.Lock()
	if r.sample() {
		r.changes.announce()
	}
	var all []*session
	r.sessions(func(s *session) { all = append(all, s) })
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.added, b.added) })
	objects := make([]*diagnostics.WatchSession, 0, len(all))
	for _, s := range all {
		objects = append(objects, s.object())
	}
	version, gone = r.changes.last, r.changes.first
	r.mu.Unlock()
	for _, object := range objects {
		visit(object)
	}
	return version, gone
}

// Since calls visit with the sessions that began, changed or were removed after a version, in order, and
// returns the version of the last change and a channel that is closed on the next one. ok is false if the
// changes are not known any more, or if the version is none of this server.
func (r *Registry) Since(version uint64, visit func(session *diagnostics.WatchSession, kind watch.EventType, version uint64)) (last uint64, next <-chan struct{}, ok bool) {
	kinds := [...]watch.EventType{began: watch.Added, modified: watch.Modified, removed: watch.Deleted}
	r.mu.Lock()
	all, last, next, ok := r.since(version)
	objects := make([]*diagnostics.WatchSession, 0, len(all))
	for _, change := range all {
		objects = append(objects, change.session.object())
	}
	r.mu.Unlock()
	for i, object := range objects {
		visit(object, kinds[all[i].kind], all[i].version)
	}
	return last, next, ok
}

// object returns the API object of a session. The caller has the lock of the registry.
func (s *session) object() *diagnostics.WatchSession {
	name, current := strconv.FormatUint(s.added, nameBase), s.state(s.registry.sinceEpoch())
	o := &diagnostics.WatchSession{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name), ResourceVersion: strconv.FormatUint(s.version, 10), CreationTimestamp: metav1.NewTime(s.started.Truncate(time.Second)),
		},
		Server: s.registry.Server, AuditID: s.auditID,
		User: diagnostics.WatchUser{Username: s.user, UID: s.uid, UserAgent: s.agent, SourceIP: hostOf(s.address)},
		Request: diagnostics.WatchedRequest{
			APIGroup: s.resource.Group, APIVersion: s.resource.Version, Resource: s.resource.Resource, Namespace: s.namespace, Name: s.name,
			LabelSelector: s.labelSelector, FieldSelector: s.fieldSelector, ResourceVersion: s.resourceVersion, InitialEvents: s.initialEvents,
		},
		ServedFrom: s.source, StartTime: microTime(s.started), State: diagnostics.WatchOpen,
		Events: current.events, Bytes: current.bytes, Compressed: s.compressed.Load(),
	}
	if written := s.written.Load(); written != 0 {
		o.LastWriteTime = s.after(written)
	}
	if longest := time.Duration(s.longest.Load()); longest >= BlockedAfter {
		o.LongestBlocked = &metav1.Duration{Duration: longest.Truncate(time.Millisecond)}
	}
	switch {
	case s.ended != stillOpen:
		o.State = diagnostics.WatchEnded
		o.End = &diagnostics.WatchEnd{
			Reason: reasons[s.ended], Time: microTime(s.started.Add(s.duration)), Duration: metav1.Duration{Duration: s.duration.Truncate(time.Millisecond)},
		}
	case current.blocked != 0:
		o.BlockedSince = s.after(current.blocked)
	}
	return o
}

// after returns the time that is some nanoseconds after the epoch.
func (s *session) after(nanoseconds int64) *metav1.MicroTime {
	t := microTime(s.registry.epoch.Add(time.Duration(nanoseconds)))
	return &t
}

func microTime(t time.Time) metav1.MicroTime {
	return metav1.NewMicroTime(t.Truncate(time.Microsecond))
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
