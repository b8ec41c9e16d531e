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
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// trace returns the API object of a record that has ended.
func (r *Record) trace(server string) *diagnostics.RequestTrace {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.user()
	t := &diagnostics.RequestTrace{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.id, UID: types.UID(r.id), ResourceVersion: strconv.FormatUint(versionOf(r), 10), CreationTimestamp: metav1.NewTime(r.received.Truncate(time.Second)),
		},
		Server:       server,
		ReceivedTime: metav1.NewMicroTime(r.received.Truncate(time.Microsecond)),
		User:         diagnostics.TracedUser{Username: of.name, UID: of.uid, Groups: slices.Clone(of.groups)},
		Request: diagnostics.TracedRequest{
			Verb: r.target.verb, APIGroup: r.target.group, APIVersion: r.target.version, Resource: r.target.resource, Subresource: r.target.subresource,
			Namespace: r.target.namespace, Name: r.target.name, Path: r.target.path, UserAgent: r.userAgent, SourceIP: hostOf(r.sourceIP),
		},
		Verdict: r.verdict, Code: int32(r.code), Reason: r.reason, TimedOut: r.timedOut, Latency: duration(r.latency),
		Stops: r.traceStops(),
	}
	t.User.CredentialID = r.authenticated.credential
	if r.authenticated.name != of.name || !slices.Equal(r.authenticated.groups, of.groups) {
		t.User.ImpersonatedBy = r.authenticated.name
	}
	if r.hasDecision {
		t.DecidedBy = &diagnostics.Decision{Stop: gateNames[r.decision], By: r.by}
	}
	return t
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

func duration(d time.Duration) metav1.Duration {
	return metav1.Duration{Duration: d.Truncate(time.Microsecond)}
}

// traceStops returns the entries in the order of the gates, with one for each gate that has no parts.
func (r *Record) traceStops() []diagnostics.TraceStop {
	var all []diagnostics.TraceStop
	for gate := range gates {
		if r.reached&(1<<gate) == 0 {
			continue
		}
		parts := len(all)
		for i := range r.stops {
			if stop := &r.stops[i]; stop.Gate == gate {
				all = append(all, r.traceStop(stop))
			}
		}
		if len(all) == parts && !r.silent(gate) {
			all = append(all, r.traceStop(&Stop{Gate: gate, Verdict: r.verdictOf(gate), Reason: r.reasonOf(gate), Latency: r.spent[gate]}))
		}
		all = append(all, r.traceUncalled(gate)...)
	}
	return all
}

// silent reports whether a gate without parts that was reached says nothing.
func (r *Record) silent(gate Gate) bool {
	if r.hasDecision && r.decision == gate {
		return false
	}
	switch gate {
	case Start, Limits, MutatingAdmission, ValidatingAdmission:
		return true
	}
	return false
}

// verdictOf and reasonOf are those of a gate without parts.
func (r *Record) verdictOf(gate Gate) Verdict {
	if r.hasDecision && r.decision == gate && r.verdict == diagnostics.VerdictRefused {
		return Refused
	}
	return Passed
}

func (r *Record) reasonOf(gate Gate) string {
	switch {
	case r.hasDecision && r.decision == gate && r.timedOut:
		return "the time of the request ended here"
	case r.hasDecision && r.decision == gate && len(r.parts().invalid) > 0:
		return strings.Join(r.parts().invalid, ", ")
	case r.hasDecision && r.decision == gate && r.verdict == diagnostics.VerdictRefused:
		return r.reason
	}
	return ""
}

func (r *Record) traceStop(stop *Stop) diagnostics.TraceStop {
	t := diagnostics.TraceStop{
		Stop: gateNames[stop.Gate], By: stop.By, Verdict: verdictNames[stop.Verdict], Reason: stop.Reason, Latency: duration(stop.Latency),
		Changed: stop.Changed, PriorityLevel: stop.PriorityLevel,
	}
	if stop.changed != nil {
		t.ChangedPaths = slices.Clone(*stop.changed)
	}
	traceDetails(&t, stop)
	if stop.Gate == Storage {
		t.OtherWrites = r.traceWrites()
		if r.etcd > 0 {
			etcd := duration(r.etcd)
			t.EtcdLatency = &etcd
		}
	}
	if stop.calls > 1 {
		t.Calls = stop.calls
	}
	if stop.Gate == Authentication && stop.Verdict != NoOpinion && len(r.asked) > 0 {
		t.Reason = "no identity by " + strings.Join(r.asked, ", ")
	}
	if stop.Binding != nil && stop.Role != nil {
		t.Grant = &diagnostics.TraceGrant{Binding: diagnostics.TracedObject(*stop.Binding), Role: diagnostics.TracedObject(*stop.Role)}
	}
	return t
}
