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
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// The bounds of a record. Clients choose most of its texts.
const (
	// longestName bounds names and other short texts, in bytes.
	longestName = 256
	// longestReason bounds the cause that a gate states, in bytes.
	longestReason = 512
	// mostStops bounds the number of entries, and stopsOfWrites is the number for which a write has space at first.
	mostStops     = 48
	stopsOfWrites = 24
	// mostGroups, mostPaths and mostAsked bound lists.
	mostGroups = 32
	mostPaths  = 16
	mostAsked  = 12
)

// Gate is a stage of the path of a request.
type Gate uint8

// The gates, in the order of a request.
const (
	Start Gate = iota
	Authentication
	Impersonation
	FlowControl
	Authorization
	Limits
	Decoding
	MutatingAdmission
	Validation
	ValidatingAdmission
	Storage
	gates // the number of gates
)

var gateNames = [gates]diagnostics.TraceStopName{
	diagnostics.StopStart, diagnostics.StopAuthentication, diagnostics.StopImpersonation, diagnostics.StopFlowControl, diagnostics.StopAuthorization,
	diagnostics.StopLimits, diagnostics.StopDecoding, diagnostics.StopMutatingAdmission, diagnostics.StopValidation, diagnostics.StopValidatingAdmission,
	diagnostics.StopStorage,
}

// Verdict is what a part of a gate said.
type Verdict uint8

// The verdicts.
const (
	Passed Verdict = iota
	NoOpinion
	Refused
	Ignored
	Skipped
	WouldRefuse
	NotCalled
)

var verdictNames = [...]diagnostics.StopVerdict{
	diagnostics.StopPassed, diagnostics.StopNoOpinion, diagnostics.StopRefused, diagnostics.StopIgnored, diagnostics.StopSkipped,
	diagnostics.StopWouldRefuse, diagnostics.StopNotCalled,
}

// Object identifies a version of an object. It must not change once a Record has it.
type Object struct {
	Kind, Namespace, Name, UID, ResourceVersion string
}

// Stop is what a part of a gate said.
type Stop struct {
	Gate    Gate
	Verdict Verdict
	Changed bool
	// Queued is true if the request waited in a queue of flow control, and Seats is the number of its seats.
	Queued bool
	Seats  uint16
	calls  int32
	// By is the part; empty for the gate as a whole.
	By string
	// Reason is the cause. It must not contain a secret or a value of the object.
	Reason  string
	Latency time.Duration
	// PriorityLevel is that of flow control, and Binding and Role are those of the roles.
	PriorityLevel string
	Binding, Role *Object
	// Details are what few stops have; nil for none. They must not change once a Record has them.
	Details *Details
	// changed are the paths of the fields that the part changed; nil for none.
	changed *[]string
}

// Details are the parts of a Stop that few stops have.
type Details struct {
	Objects []*Object
	Quotas  []Quota
	Seats   *Seats
	// Shadow is true for a webhook or a policy that decides nothing.
	Shadow bool
}

// identity is a user as authenticators or filters see it.
type identity struct {
	name, uid string
	groups    []string
	// credential identifies the credential, without its secret part.
	credential string
}

func identityOf(u user.Info) identity {
	groups := u.GetGroups()
	if len(groups) > mostGroups {
		groups = append([]string{}, groups[:mostGroups]...)
	}
	for i, group := range groups {
		if len(group) > longestName {
			groups = append([]string{}, groups...)
			groups[i] = bounded(group, longestName)
		}
	}
	i := identity{name: bounded(u.GetName(), longestName), uid: bounded(u.GetUID(), longestName), groups: groups}
	if ids := u.GetExtra()[user.CredentialIDKey]; len(ids) > 0 {
		i.credential = bounded(ids[0], longestName)
	}
	return i
}

// target is what a request asks for.
type target struct {
	resourceRequest                                              bool
	verb, group, version, resource, subresource, namespace, name string
	path                                                         string
}

// Record collects what the gates say about one request. All methods are safe for concurrent use, and
// do nothing for a nil Record and after the end of the request: the library's timeout filter runs
// the inner filters in a goroutine that may outlive the request.
type Record struct {
	mu     sync.Mutex
	closed bool
	// hidden records are not kept.
	hidden bool
	// review is nil for a request that is carried out, and ended is the gate before which the review has
	// ended, or Start.
	review *Review
	ended  Gate

	id                  string
	received            time.Time
	userAgent, sourceIP string

	authenticated identity
	// impersonated is the user of an impersonation; nil for none.
	impersonated *identity
	target       target
	check        Check
	// asked are the authenticators that found no identity.
	asked []string

	// gate has the request since the time, and part is the part of it that is running.
	gate  Gate
	part  string
	since time.Time
	spent [gates]time.Duration
	// reached is a set of bits.
	reached uint16

	stops []Stop
	// inline has space for the entries of a read: a further one would double its garbage.
	inline [4]Stop
	// seldom is what few requests have; nil for nothing.
	seldom   *seldom
	trackers *request.LatencyTrackers

	outcome
	// sequence is the number of the record among those that are kept.
	sequence uint64
}

// outcome is the end of a request.
type outcome struct {
	code        int
	reason      string
	verdict     diagnostics.Verdict
	hasDecision bool
	decision    Gate
	by          string
	timedOut    bool
	latency     time.Duration
	etcd        time.Duration
}

// seldom are the parts of a record that few requests have. All requests allocate a Record, so it is small.
type seldom struct {
	calls    []call
	uncalled []Uncalled
	// unlisted is the number of webhooks and policies besides those in uncalled.
	unlisted int
	// others are the writes with which the request is in conflict.
	others []write
	// invalid are the fields that validation refused, with the type of the error, and without values.
	invalid []string
}

// parts returns what few requests have, to read it.
func (r *Record) parts() seldom {
	if r.seldom == nil {
		return seldom{}
	}
	return *r.seldom
}

// with returns what few requests have, to change it.
func (r *Record) with() *seldom {
	if r.seldom == nil {
		r.seldom = &seldom{}
	}
	return r.seldom
}

// user returns the identity as which the request is authorized.
func (r *Record) user() *identity {
	if r.impersonated != nil {
		return r.impersonated
	}
	return &r.authenticated
}

type recordKey struct{}

// From returns the record of the request with the context, or nil.
func From(ctx context.Context) *Record {
	record, _ := ctx.Value(recordKey{}).(*Record)
	return record
}

// Enter notes that the request is at a gate from now on.
func (r *Record) Enter(gate Gate) {
	if r == nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.enter(gate, now)
	}
}

func (r *Record) enter(gate Gate, now time.Time) {
	r.spent[r.gate] += now.Sub(r.since)
	r.gate, r.part, r.since = gate, "", now
	r.reached |= 1 << gate
}

// Gate returns the gate that has the request.
func (r *Record) Gate() Gate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gate
}

// Running notes which part of the gate is running.
func (r *Record) Running(part string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.part = part
}

// Add adds an entry. Another entry of the same part is continued: its times add up, and the last
// verdict counts.
func (r *Record) Add(stop Stop) {
	if r == nil {
		return
	}
	stop.By, stop.Reason = bounded(stop.By, longestName), bounded(stop.Reason, longestReason)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.add(stop)
	}
}

func (r *Record) add(stop Stop) {
	for i := range r.stops {
		known := &r.stops[i]
		if known.Gate != stop.Gate || known.By != stop.By {
			continue
		}
		known.calls++
		known.Latency += stop.Latency
		known.Verdict, known.Reason = stop.Verdict, stop.Reason
		known.Changed = known.Changed || stop.Changed
		if stop.Details != nil {
			known.Details = stop.Details
		}
		return
	}
	if len(r.stops) >= mostStops {
		return
	}
	stop.calls = 1
	switch {
	case r.stops == nil:
		r.stops = r.inline[:0]
	case len(r.stops) == len(r.inline):
		// A write has an entry for each plugin: growing step by step would make twice the garbage.
		r.stops = append(make([]Stop, 0, stopsOfWrites), r.stops...)
	}
	r.stops = append(r.stops, stop)
}

// edit calls f with the entry of a part, if there is one.
func (r *Record) edit(gate Gate, by string, f func(*Stop)) {
	for i := range r.stops {
		if r.stops[i].Gate == gate && r.stops[i].By == by {
			f(&r.stops[i])
			return
		}
	}
}

// setTarget stores what the request asks for. It is called more than once, with the same result.
func (r *Record) setTarget(info *request.RequestInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.target.verb != "" {
		return
	}
	t := target{resourceRequest: info.IsResourceRequest, verb: info.Verb}
	if !info.IsResourceRequest {
		t.path = bounded(info.Path, longestName)
	} else {
		t.group, t.version, t.resource, t.subresource = info.APIGroup, info.APIVersion, info.Resource, info.Subresource
		t.namespace, t.name = info.Namespace, info.Name
		r.hidden = info.APIGroup == diagnostics.GroupName
	}
	// The names are parts of the path: they must not keep a long one in memory.
	if len(info.Path) > longestName {
		for _, text := range []*string{&t.verb, &t.group, &t.version, &t.resource, &t.subresource, &t.namespace, &t.name, &t.path} {
			*text = strings.Clone(bounded(*text, longestName))
		}
	}
	r.target = t
}

// Named notes the name of the object of a create, which is in its body.
func (r *Record) Named(name string) {
	if r == nil || name == "" {
		return
	}
	name = bounded(name, longestName)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.target.name == "" {
		r.target.name = name
	}
}

// setTrackers gives the record the times that the library measures.
func (r *Record) setTrackers(ctx context.Context) {
	trackers, ok := request.LatencyTrackersFrom(ctx)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.trackers = trackers
	}
}
