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
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

const (
	// mostWrites bounds the other writes of a conflict.
	mostWrites = 8
	// searchedRecords is the number of allowed records in which the user of another write is searched.
	searchedRecords = 1024
)

// write is a write to an object, from its managedFields.
type write struct {
	manager, operation, subresource, user string
	at                                    time.Time
	// shared is set if another write has the same second, which is all that managedFields keep of a time:
	// the request of either may be found for it, so it has no user.
	shared bool
}

// Conflict records with which writes a request is in conflict if the error is a conflict: the last one
// to the stored object, or the last one of each manager that an apply names.
func Conflict(ctx context.Context, err error, stored runtime.Object) {
	record := From(ctx)
	if record == nil || stored == nil || !apierrors.IsConflict(err) {
		return
	}
	object, metaErr := apimeta.Accessor(stored)
	if metaErr != nil {
		return
	}
	writes := otherWrites(err, object.GetManagedFields())
	record.mu.Lock()
	defer record.mu.Unlock()
	if !record.closed {
		record.with().others = writes
	}
}

// otherWrites returns the newest entry, or the newest one of each manager that the error names.
func otherWrites(err error, entries []metav1.ManagedFieldsEntry) []write {
	managers := managersOf(err)
	newest := map[string]int{}
	for i := range entries {
		key := ""
		if len(managers) > 0 {
			key = entries[i].Manager
			if !slices.Contains(managers, key) {
				continue
			}
		}
		if best, ok := newest[key]; !ok || timeOf(&entries[best]).Before(timeOf(&entries[i])) {
			newest[key] = i
		}
	}
	var writes []write
	for i := range entries {
		key := ""
		if len(managers) > 0 {
			key = entries[i].Manager
		}
		if best, ok := newest[key]; ok && best == i && len(writes) < mostWrites {
			writes = append(writes, write{
				manager: bounded(entries[i].Manager, longestName), operation: string(entries[i].Operation), subresource: entries[i].Subresource, at: timeOf(&entries[i]),
				shared: sharesSecond(entries, i),
			})
		}
	}
	return writes
}

// sharesSecond reports whether another entry has the second of entry i.
func sharesSecond(entries []metav1.ManagedFieldsEntry, i int) bool {
	for j := range entries {
		if j != i && timeOf(&entries[j]).Unix() == timeOf(&entries[i]).Unix() {
			return true
		}
	}
	return false
}

func timeOf(entry *metav1.ManagedFieldsEntry) time.Time {
	if entry.Time == nil {
		return time.Time{}
	}
	return entry.Time.Time
}

// managersOf returns the managers that the error of an apply names.
func managersOf(err error) []string {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil {
		return nil
	}
	var managers []string
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		quoted, quoteErr := strconv.QuotedPrefix(strings.TrimPrefix(cause.Message, "conflict with "))
		if quoteErr != nil {
			continue
		}
		if manager, quoteErr := strconv.Unquote(quoted); quoteErr == nil && !slices.Contains(managers, manager) {
			managers = append(managers, manager)
		}
	}
	return managers
}

// nameWriters finds the users of the other writes among the latest requests.
func (r *Recorder) nameWriters(record *Record) {
	record.mu.Lock()
	unknown := len(record.parts().others) > 0
	record.mu.Unlock()
	if !unknown {
		return
	}
	latest := r.rings.latest(allowed, searchedRecords)
	record.mu.Lock()
	defer record.mu.Unlock()
	others := record.parts().others
	for i := range others {
		if others[i].shared {
			continue
		}
		if other := latestWriter(latest, &record.target, others[i].at); other != nil {
			others[i].user = other.user().name
		}
	}
}

// latestWriter returns the newest record, of records with the newest first, that wrote the object in the
// second of a time. The target and the user of a record do not change after its end.
func latestWriter(latest []*Record, of *target, at time.Time) *Record {
	if at.IsZero() {
		return nil
	}
	for _, record := range latest {
		t := &record.target
		if t.group != of.group || t.resource != of.resource || t.namespace != of.namespace || t.name != of.name {
			continue
		}
		switch t.verb {
		case "create", "update", "patch":
		default:
			continue
		}
		if record.code >= http.StatusMultipleChoices || record.received.After(at.Add(time.Second)) || record.received.Add(record.latency).Before(at) {
			continue
		}
		return record
	}
	return nil
}

// conflictText returns the other writes for the message of a conflict.
func (r *Record) conflictText() string {
	others := r.parts().others
	if len(others) == 0 {
		return ""
	}
	last := &others[0]
	for i := range others {
		if last.at.Before(others[i].at) {
			last = &others[i]
		}
	}
	text := fmt.Sprintf(", last written by manager %q", last.manager)
	if last.user != "" {
		text += fmt.Sprintf(" of user %q", last.user)
	}
	if !last.at.IsZero() {
		text += " at " + last.at.UTC().Format(time.RFC3339)
	}
	return text
}

// traceWrites returns the other writes as API objects.
func (r *Record) traceWrites() []diagnostics.TracedWrite {
	var writes []diagnostics.TracedWrite
	others := r.parts().others
	for i := range others {
		w := &others[i]
		traced := diagnostics.TracedWrite{Manager: w.manager, Operation: w.operation, Subresource: w.subresource, Username: w.user}
		if !w.at.IsZero() {
			traced.Time = &metav1.Time{Time: w.at}
		}
		writes = append(writes, traced)
	}
	return writes
}
