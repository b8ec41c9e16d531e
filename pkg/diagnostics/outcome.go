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
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// mostFields bounds the number of invalid fields of a record.
const mostFields = 8

// end closes the record, once, and reports whether this call did. status is that of a failure; nil
// if there is none.
func (r *Record) end(code int, status *metav1.Status) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.closed = true
	r.spent[r.gate] += now.Sub(r.since)
	r.code, r.latency = code, now.Sub(r.received)
	if r.trackers != nil {
		r.etcd = r.trackers.StorageTracker.GetLatency()
		r.trackers = nil
	}
	if status != nil {
		r.reason = bounded(string(status.Reason), longestName)
	}
	r.decide(status)
	return true
}

// decide finds the gate that ended the request.
func (r *Record) decide(status *metav1.Status) {
	if r.ended != Start {
		r.code, r.reason, r.verdict = 0, "", diagnostics.VerdictAllowed
		return
	}
	if r.code >= 100 && r.code < http.StatusBadRequest {
		r.verdict = diagnostics.VerdictAllowed
		return
	}
	r.hasDecision, r.timedOut = true, r.code == http.StatusGatewayTimeout
	if r.timedOut {
		r.interrupt(time.Now())
	}
	if r.seldom != nil {
		r.seldom.calls = nil
	}
	r.decision, r.by = r.gate, r.part
	explicit := false
	for i := len(r.stops) - 1; i >= 0; i-- {
		if stop := r.stops[i]; stop.Verdict == Refused {
			r.decision, r.by, explicit = stop.Gate, stop.By, true
			break
		}
	}
	reason := metav1.StatusReason(r.reason)
	if !explicit && !r.timedOut {
		switch reason {
		case metav1.StatusReasonInvalid:
			r.decision, r.by = Validation, ""
			r.with().invalid = fieldsOf(status)
		case metav1.StatusReasonBadRequest:
			if r.decision == Decoding {
				r.with().invalid = unknownFields(status.Message)
			}
		case metav1.StatusReasonConflict, metav1.StatusReasonAlreadyExists:
			r.decision, r.by = Storage, ""
		case metav1.StatusReasonNotFound:
			if r.target.resourceRequest && r.decision > Limits {
				r.decision, r.by = Storage, ""
			}
		}
	}
	r.reached |= 1 << r.decision
	r.verdict = diagnostics.VerdictRefused
	if !explicit && (failure(r.code, reason) || r.repeated(reason)) {
		r.verdict = diagnostics.VerdictFailed
	}
}

// ControllerUserPrefix is the prefix of the user names of the server's own controllers.
const ControllerUserPrefix = "system:controller:"

// repeated reports whether the request is a conflict of a controller, which reads from a cache that may be behind and
// repeats the write: it is no refusal that a user has to cure.
func (r *Record) repeated(reason metav1.StatusReason) bool {
	return reason == metav1.StatusReasonConflict && strings.HasPrefix(r.user().name, ControllerUserPrefix)
}

// failure reports whether a response means that no gate was against the request.
func failure(code int, reason metav1.StatusReason) bool {
	switch code {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, 0:
		return true
	case http.StatusConflict:
		return reason == metav1.StatusReasonAlreadyExists
	case http.StatusGatewayTimeout, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		return false
	}
	return code >= http.StatusInternalServerError
}

// fieldsOf returns the invalid fields, without the messages, which contain values.
func fieldsOf(status *metav1.Status) []string {
	if status == nil || status.Details == nil {
		return nil
	}
	var fields []string
	for _, cause := range status.Details.Causes {
		if len(fields) == mostFields {
			break
		}
		fields = append(fields, bounded(cause.Field, longestName)+": "+bounded(string(cause.Type), longestName))
	}
	return fields
}

// kind is the ring that keeps a record.
func (r *Record) kind() ringKind {
	switch {
	case r.verdict == diagnostics.VerdictAllowed:
		return allowed
	case r.code == http.StatusUnauthorized:
		return unauthenticated
	case r.verdict == diagnostics.VerdictFailed && r.code < http.StatusInternalServerError:
		return allowed
	}
	return refused
}
