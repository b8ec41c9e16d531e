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
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// call is a running call of a webhook.
type call struct {
	by    string
	begun time.Time
}

// CallBegins notes that a webhook is called. by names it: CONFIGURATION/WEBHOOK where that is known,
// otherwise its address.
func (r *Record) CallBegins(by string) {
	if r == nil {
		return
	}
	by = bounded(by, longestName)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.part = by
		parts := r.with()
		parts.calls = append(parts.calls, call{by, time.Now()})
	}
}

// Called records a call of a webhook. configuration is its configuration, or nil.
func (r *Record) Called(by string, configuration *Object, latency time.Duration) {
	if r == nil {
		return
	}
	by = bounded(by, longestName)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	parts := r.with()
	if i := slices.IndexFunc(parts.calls, func(c call) bool { return c.by == by }); i >= 0 {
		parts.calls = slices.Delete(parts.calls, i, i+1)
	}
	stop := Stop{Gate: r.gate, By: by, Latency: latency}
	if configuration != nil {
		stop.Details = &Details{Objects: []*Object{configuration}}
	}
	r.add(stop)
}

// interrupt ends the running calls of a request whose time has ended: the first one had its clock.
func (r *Record) interrupt(now time.Time) {
	for i, c := range r.parts().calls {
		stop := Stop{Gate: r.gate, By: c.by, Verdict: NoOpinion, Reason: "the call was running when the time of the request ended", Latency: now.Sub(c.begun)}
		if i == 0 {
			stop.Verdict, r.part = Refused, c.by
		}
		r.add(stop)
	}
}

// RefusedBy notes that a plugin refused because of a webhook or a policy, whose entry is marked, or
// added. reason says how. by is empty if the text of the refusal does not name one.
func (r *Record) RefusedBy(gate Gate, plugin, by, reason string) {
	if r == nil {
		return
	}
	by = bounded(by, longestName)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	switch called := gate == MutatingAdmission && r.part != plugin; {
	case by == "" && called:
		// Mutating webhooks are called one after the other: the last one is it.
		by, reason = r.part, "the response of the webhook cannot be applied"
	case by == "":
		return
	case called && strings.HasSuffix(r.part, "/"+by):
		by = r.part // another configuration may have a webhook with the same name
	case r.ambiguous(gate, by):
		r.add(Stop{Gate: gate, Verdict: Refused, By: by, Reason: reason})
		return
	}
	r.part = by
	for i := range r.stops {
		stop := &r.stops[i]
		if stop.Gate == gate && (stop.By == by || strings.HasSuffix(stop.By, "/"+by)) {
			stop.Verdict, stop.Reason = Refused, reason
			// The last refusal decides: it names the webhook, and the one before its plugin.
			moved := *stop
			r.stops = append(append(r.stops[:i:i], r.stops[i+1:]...), moved)
			return
		}
	}
	r.add(Stop{Gate: gate, Verdict: Refused, By: by, Reason: reason})
}

// ambiguous reports whether webhooks of several configurations that were called have the name.
func (r *Record) ambiguous(gate Gate, name string) bool {
	count := 0
	for i := range r.stops {
		if r.stops[i].Gate == gate && strings.HasSuffix(r.stops[i].By, "/"+name) {
			count++
		}
	}
	return count > 1
}

// PolicyFailure is the annotation by which the library reports the failures of bindings with the action
// Audit to the audit log.
const PolicyFailure = "validation.policy.admission.k8s.io/validation_failure"

// The prefixes of the annotations by which the library's plugins report webhooks to the audit log.
const (
	mutationPrefix           = "mutation.webhook.admission.k8s.io/"
	patchPrefix              = "patch.webhook.admission.k8s.io/"
	mutationFailedOpenPrefix = "failed-open.mutation.webhook.admission.k8s.io/"
	validationFailedOpen     = "failed-open.validating.webhook.admission.k8s.io/"
)

// Annotated records what a plugin reports to the audit log about a webhook. It never keeps a value of
// a patch.
func (r *Record) Annotated(key, value string) {
	if r == nil {
		return
	}
	switch {
	case strings.HasPrefix(key, mutationPrefix), strings.HasPrefix(key, patchPrefix):
		var report struct {
			Configuration, Webhook string
			Mutated                bool
			Patch                  []struct{ Path string }
		}
		if json.Unmarshal([]byte(value), &report) != nil {
			return
		}
		by := bounded(report.Configuration+"/"+report.Webhook, longestName)
		var paths []string
		for _, change := range report.Patch {
			paths = append(paths, change.Path)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closed && (report.Mutated || len(paths) > 0) {
			r.addChange(MutatingAdmission, by, paths)
		}
	case key == PolicyFailure:
		for _, by := range PolicyFailures(value) {
			r.Against(ValidatingAdmission, by, "validationActions without Deny", nil)
		}
	case strings.HasPrefix(key, mutationFailedOpenPrefix):
		r.ignored(MutatingAdmission, value)
	case strings.HasPrefix(key, validationFailedOpen):
		r.ignored(ValidatingAdmission, value)
	}
}

// ignored notes that a webhook failed whose failurePolicy is Ignore.
func (r *Record) ignored(gate Gate, webhook string) {
	webhook = bounded(webhook, longestName)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	// Another configuration may have a webhook with the same name. Mutating webhooks are called one after the other, so
	// the last one was called by the report; validating ones are called together, so that it is not known which.
	if gate == MutatingAdmission || !r.ambiguous(gate, webhook) {
		for i := range slices.Backward(r.stops) {
			if stop := &r.stops[i]; stop.Gate == gate && (stop.By == webhook || strings.HasSuffix(stop.By, "/"+webhook)) {
				stop.Verdict = Ignored
				return
			}
		}
	}
	r.add(Stop{Gate: gate, Verdict: Ignored, By: webhook})
}

// PolicyFailures returns POLICY/BINDING of each failure that the library's plugin reports to the audit log
// for bindings with the action Audit. It returns nothing else of the report, which has texts of policies.
func PolicyFailures(value string) []string {
	var failures []struct{ Policy, Binding string }
	if json.Unmarshal([]byte(value), &failures) != nil {
		return nil
	}
	var all []string
	for _, failure := range failures {
		if by := failure.Policy + "/" + failure.Binding; !slices.Contains(all, by) {
			all = append(all, by)
		}
	}
	return all
}
