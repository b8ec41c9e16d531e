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
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// Config has the inputs of a Recorder.
type Config struct {
	Options
	// Server is the identity of this server.
	Server string
	// Serializer encodes the response of a refusal.
	Serializer runtime.NegotiatedSerializer
}

// Recorder records requests and keeps the latest of them.
type Recorder struct {
	config Config
	rings  *rings
	// given has the Audit-IDs that clients chose, while their records are kept.
	mu    sync.Mutex
	given map[string]int
	// turned is the time of the latest end of a connection; see turn.
	turned atomic.Int64
}

// New returns a Recorder.
func New(c Config) *Recorder {
	// The time as the first sequence: another start of the server never repeats a resource version.
	return &Recorder{config: c, rings: newRings(c.Kept, uint64(time.Now().UnixMicro()))}
}

// validID matches an Audit-ID that can be the name of an object and a word of a command line.
var validID = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

// Wrap records the requests of a handler, which includes the handler chain.
func (r *Recorder) Wrap(handler http.Handler) http.Handler {
	if r.config.Mode == Off {
		return handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		record := r.begin(req)
		writer := &recordedWriter{ResponseWriter: w, record: record, recorder: r}
		completed := false
		defer func() { writer.finish(completed) }()
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(writer), req.WithContext(withRecord(req.Context(), record)))
		completed = true
	})
}

// begin makes the record of a request, and its Audit-ID, which the library would make otherwise.
func (r *Recorder) begin(req *http.Request) *Record {
	id := req.Header.Get(auditinternal.HeaderAuditID)
	if id == "" {
		id = uuid.NewString()
		req.Header.Set(auditinternal.HeaderAuditID, id)
	} else {
		id = r.distinct(id)
	}
	now := time.Now()
	return &Record{
		id: id, received: now, since: now, reached: 1 << Start,
		userAgent: bounded(req.UserAgent(), longestName), sourceIP: req.RemoteAddr,
	}
}

// distinct returns the name of a record whose Audit-ID a client chose: names of objects are valid, and
// unique.
func (r *Recorder) distinct(id string) string {
	if !validID.MatchString(id) {
		return uuid.NewString()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// The set is bounded by the number of records: a name may be forgotten while its record is kept.
	if r.given == nil || len(r.given) > int(ringKinds)*r.config.Kept {
		r.given = map[string]int{}
	}
	r.given[id]++
	if n := r.given[id]; n > 1 {
		return fmt.Sprintf("%s-%d", id, n)
	}
	return id
}

// publish ends a record and keeps it.
func (r *Recorder) publish(record *Record, w *recordedWriter) {
	if !record.end(w.code, w.status) || record.hidden || record.Reviewed() {
		return
	}
	if r.config.Mode == Refusals && record.verdict == diagnostics.VerdictAllowed {
		return
	}
	r.rings.add(record.kind(), record)
}

// turnInterval is the shortest time between two ends of connections by turn.
const turnInterval = 20 * time.Millisecond

// turn ends the connection of a request for a trace that this server does not have, after its open
// requests: the client's next request may reach the replica that has the trace. A proxy sends all
// requests over one connection otherwise.
func (r *Recorder) turn(w *recordedWriter) {
	now, last := time.Now().UnixNano(), r.turned.Load()
	if now-last >= int64(turnInterval) && r.turned.CompareAndSwap(last, now) {
		w.Header().Set("Connection", "close")
	}
}
