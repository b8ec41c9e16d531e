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
	"slices"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// mostUncalled bounds the webhooks and policies of a record that were not called.
const mostUncalled = 16

// Uncalled is a webhook or a policy that was not called. The texts are shared by all records.
type Uncalled struct {
	Gate   Gate
	By     string
	Reason string
	Object *Object
}

// Quota is a ResourceQuota that counts what a request creates.
type Quota struct {
	Quota     Object
	Refused   bool
	Resources []QuotaBalance
}

// QuotaBalance is what is left of a resource of a quota.
type QuotaBalance struct {
	Name, Requested, Left, Hard string
}

// Charged records the quotas of a request. It is called by the plugin that has the request.
func (r *Record) Charged(quotas []Quota) {
	if r == nil || len(quotas) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	details := &Details{Quotas: quotas}
	found := false
	r.edit(r.gate, r.part, func(stop *Stop) { found, stop.Details = true, details })
	if !found {
		r.add(Stop{Gate: r.gate, By: r.part, Details: details})
		// The plugin adds its verdict when it returns.
		r.edit(r.gate, r.part, func(stop *Stop) { stop.calls = 0 })
	}
}

// Parts are the entries of a gate.
type Parts struct {
	// Names are those of all, and Changed those of the entries that changed the object.
	Names, Changed []string
	// Refused is the last one that refused; empty for none.
	Refused string
}

// Parts returns the entries of a gate.
func (r *Record) Parts(gate Gate) (parts Parts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.stops {
		stop := &r.stops[i]
		if stop.Gate != gate {
			continue
		}
		parts.Names = append(parts.Names, stop.By)
		if stop.Verdict == Refused {
			parts.Refused = stop.By
		}
		if stop.Changed && (stop.Details == nil || !stop.Details.Shadow) {
			parts.Changed = append(parts.Changed, stop.By)
		}
	}
	return parts
}

// Changed notes that the running part of mutating admission changed fields of the object.
func (r *Record) Changed(paths ...string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	part := r.part
	r.addChange(MutatingAdmission, part, paths)
}

// ChangedBy notes that a part of a gate changed fields of the object; none for no change.
func (r *Record) ChangedBy(gate Gate, by string, paths []string) {
	if r == nil || len(paths) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.addChange(gate, bounded(by, longestName), paths)
	}
}

// addChange may precede the entry of the plugin, which is added when it returns.
func (r *Record) addChange(gate Gate, by string, paths []string) {
	found := false
	change := func(stop *Stop) {
		found, stop.Changed = true, true
		for _, path := range paths {
			if stop.changed == nil {
				stop.changed = &[]string{}
			}
			if path = bounded(path, longestName); len(*stop.changed) < mostPaths && !slices.Contains(*stop.changed, path) {
				*stop.changed = append(*stop.changed, path)
			}
		}
	}
	r.edit(gate, by, change)
	if !found && len(r.stops) < mostStops {
		r.add(Stop{Gate: gate, By: by})
		r.edit(gate, by, func(stop *Stop) { change(stop); stop.calls = 0 })
	}
}

// NotCalled records webhooks and policies that a plugin did not call. again is true if the plugin has run for
// the request before: later reasons replace earlier ones.
func (r *Record) NotCalled(all []Uncalled, again bool) {
	if r == nil || len(all) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	parts := r.with()
	for _, one := range all {
		i := slices.IndexFunc(parts.uncalled, func(known Uncalled) bool { return known.Gate == one.Gate && known.By == one.By })
		switch {
		case i >= 0:
			parts.uncalled[i] = one
		case len(parts.uncalled) < mostUncalled:
			parts.uncalled = append(parts.uncalled, one)
		case !again:
			parts.unlisted++
		}
	}
}

// Evaluated records that a policy was evaluated, in versions of objects. An entry of it that exists keeps
// its verdict.
func (r *Record) Evaluated(gate Gate, by, reason string, objects []*Object) {
	by = bounded(by, longestName)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	found := false
	r.edit(gate, by, func(stop *Stop) {
		found = true
		if stop.Details == nil {
			stop.Details = &Details{Objects: objects}
		}
	})
	if !found {
		r.add(Stop{Gate: gate, By: by, Reason: reason, Details: &Details{Objects: objects}})
	}
}

// Noted adds a reason to the entry of a part that has passed without one.
func (r *Record) Noted(gate Gate, by, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.edit(gate, by, func(stop *Stop) {
		if stop.Verdict == Passed && stop.Reason == "" {
			stop.Reason = reason
		}
	})
}

// Against records that a policy is against the request and decides nothing.
func (r *Record) Against(gate Gate, by, reason string, objects []*Object) {
	r.Add(Stop{Gate: gate, By: by, Verdict: WouldRefuse, Reason: reason, Details: &Details{Objects: objects}})
}

// Shadowed records what a webhook or a policy in shadow said. It may come after the end of the request,
// which does not wait for it.
func (r *Record) Shadowed(stop Stop, paths []string) {
	if r == nil {
		return
	}
	stop.By = bounded(stop.By, longestName)
	details := Details{Shadow: true}
	if stop.Details != nil {
		details.Objects = stop.Details.Objects
	}
	stop.Details = &details
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reached |= 1 << stop.Gate
	r.add(stop)
	if len(paths) > 0 {
		r.addChange(stop.Gate, stop.By, paths)
	}
}

// traceUncalled returns the entries of a gate for what was not called.
func (r *Record) traceUncalled(gate Gate) []diagnostics.TraceStop {
	var all []diagnostics.TraceStop
	parts := r.parts()
	for i := range parts.uncalled {
		one := &parts.uncalled[i]
		if one.Gate != gate {
			continue
		}
		stop := diagnostics.TraceStop{Stop: gateNames[gate], By: one.By, Verdict: diagnostics.StopNotCalled, Reason: one.Reason}
		if one.Object != nil {
			stop.Objects = []diagnostics.TracedObject{diagnostics.TracedObject(*one.Object)}
		}
		all = append(all, stop)
	}
	if len(all) > 0 && parts.unlisted > 0 && parts.uncalled[len(parts.uncalled)-1].Gate == gate {
		all = append(all, diagnostics.TraceStop{Stop: gateNames[gate], Verdict: diagnostics.StopNotCalled, Reason: fmt.Sprintf("and %d more", parts.unlisted)})
	}
	return all
}

// traceDetails adds the details of a stop.
func traceDetails(t *diagnostics.TraceStop, stop *Stop) {
	if stop.Seats > 0 || stop.Queued {
		t.Seats = &diagnostics.TracedSeats{Requested: int32(stop.Seats), Queued: stop.Queued}
	}
	d := stop.Details
	if d == nil {
		return
	}
	t.Shadow = d.Shadow
	for _, object := range d.Objects {
		t.Objects = append(t.Objects, diagnostics.TracedObject(*object))
	}
	for i := range d.Quotas {
		q := &d.Quotas[i]
		traced := diagnostics.TracedQuota{Quota: diagnostics.TracedObject(q.Quota), Refused: q.Refused}
		for _, balance := range q.Resources {
			traced.Resources = append(traced.Resources, diagnostics.QuotaBalance(balance))
		}
		t.Quotas = append(t.Quotas, traced)
	}
	if d.Seats == nil {
		return
	}
	if t.Seats == nil {
		t.Seats = &diagnostics.TracedSeats{}
	}
	t.Seats.InUse, t.Seats.Waiting = d.Seats.InUse, d.Seats.Waiting
	for _, holder := range d.Seats.Holders {
		t.Seats.Holders = append(t.Seats.Holders, diagnostics.SeatHolder{Username: holder.User, Seats: holder.Seats})
	}
}
