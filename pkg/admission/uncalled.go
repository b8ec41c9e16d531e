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

package admission

import (
	"context"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/admission"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/policies"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// Further reasons for which a webhook or a policy is not called.
const (
	reasonExempt   = "no webhook and no policy is called for this resource, so that a broken one can be repaired"
	reasonEnded    = "an earlier webhook refused the request"
	reasonChanged  = "it matches only since a later webhook changed the object, and reinvocation calls no webhook for the first time"
	reasonOnce     = "not called again after later changes: reinvocationPolicy is Never"
	reasonTooNew   = "it was not in force yet"
	reasonNoParams = "not evaluated: no object is its parameter, or an earlier policy ended the evaluation"
	reasonFailed   = "matchConditions: an expression failed, and failurePolicy is Ignore"
)

// inForceAfter is the time after which the library's plugins use a new policy.
const inForceAfter = 2 * time.Second

// observer records which webhooks or policies of a plugin were not called, and why.
//
// It decides by the rules and selectors when the plugin has returned: only the request has the labels of the
// object, and a record must not keep them. That takes 53 ns without registrations, and 1.4 µs for each one
// whose rules do not match (BenchmarkUncalled, on two busy cores), of the milliseconds of a write.
// Policies report their matchConditions. Those of webhooks are the cause if all else matches; several of one webhook
// are evaluated a second time, to name the one that is false.
type observer struct {
	plugin        string
	gate          diagnostics.Gate
	registrations *registrations
	namespaces    corelisters.NamespaceLister
}

// newObservers returns the observers of the plugins with registrations.
func newObservers(factory informers.SharedInformerFactory, all map[string]*registrations) map[string]*observer {
	observers := map[string]*observer{}
	for name, of := range all {
		gate := diagnostics.ValidatingAdmission
		if name == mutatingwebhook.PluginName || name == mutatingpolicy.PluginName {
			gate = diagnostics.MutatingAdmission
		}
		observers[name] = &observer{plugin: name, gate: gate, registrations: of, namespaces: factory.Core().V1().Namespaces().Lister()}
	}
	return observers
}

func (b *observer) policies() bool {
	return b.plugin == validatingpolicy.PluginName || b.plugin == mutatingpolicy.PluginName
}

// exempt reports whether the plugin calls nothing for a resource.
func (b *observer) exempt(a admission.Attributes) bool {
	resource := a.GetResource().GroupResource()
	if slices.Contains(admissionregistration.ExcludedResources(), resource) {
		return true
	}
	if !rules.IsExemptAdmissionConfigurationResource(a) {
		return false
	}
	// Policies are evaluated for webhook configurations.
	return !b.policies() || resource.Resource != "mutatingwebhookconfigurations" && resource.Resource != "validatingwebhookconfigurations"
}

// watch returns a context in which policies report their outcomes.
func (b *observer) watch(ctx context.Context) (context.Context, *policies.Outcomes) {
	if b == nil || !b.policies() || b.registrations.current() == nil {
		return ctx, nil
	}
	return policies.WithOutcomes(ctx)
}

// observe records what the plugin did not call. It is called when the plugin has returned.
// outcomes are those of policies.
func (b *observer) observe(ctx context.Context, record *diagnostics.Record, outcomes *policies.Outcomes, a admission.Attributes, o admission.ObjectInterfaces) {
	if b == nil {
		return
	}
	current := b.registrations.current()
	if current == nil {
		return
	}
	pass := observation{observer: b, ctx: ctx, record: record, outcomes: outcomes, request: newRequest(a, o, b.namespaces), exempt: b.exempt(a)}
	parts := record.Parts(b.gate)
	pass.names, pass.refused = parts.Names, parts.Refused
	if !b.policies() {
		pass.changed = slices.ContainsFunc(current.all, func(r registered) bool { return r.calledAs(parts.Changed) })
	}
	if context := a.GetReinvocationContext(); context != nil {
		pass.again = context.IsReinvoke()
	}
	for i := range current.all {
		pass.visit(&current.all[i])
	}
	record.NotCalled(append(pass.near, pass.far...), pass.again)
}

// observation is the comparison of a request with the registrations of a plugin.
type observation struct {
	*observer
	ctx      context.Context
	record   *diagnostics.Record
	outcomes *policies.Outcomes
	request  *request
	exempt   bool
	// names are the parts of the gate that ran, and refused the last one that refused.
	names   []string
	refused string
	// ended is true after the webhook that refused, changed if a webhook changed the object, and again if the
	// plugin runs for the second time.
	ended, changed, again bool
	// near are those whose rules match.
	near, far []diagnostics.Uncalled
}

func (p *observation) visit(r *registered) {
	switch {
	case p.exempt:
		p.add(r, reasonExempt, false)
		return
	case r.inert != "":
		p.add(r, r.inert, false)
		return
	case !p.policies() && !r.shadow && r.calledAs(p.names):
		if p.again && r.once && p.changed {
			p.record.Noted(p.gate, r.by, reasonOnce)
		}
		p.ended = p.ended || p.refused != "" && r.calledAs([]string{p.refused})
		return
	}
	for i := range r.all {
		if reason, byRules := p.request.misfit(&r.all[i]); reason != "" {
			p.add(r, reason, !byRules)
			return
		}
	}
	switch {
	case r.shadow: // the answer is recorded when it comes
	case p.policies():
		p.evaluated(r)
	case p.ended && p.gate == diagnostics.MutatingAdmission:
		p.add(r, reasonEnded, true)
	case p.changed:
		p.add(r, reasonChanged, true)
	case r.conditions != nil && p.request.ruledAs(r.all[0].rules, p.request.Attributes):
		p.add(r, r.conditions.reason(p.ctx, p.request), true)
	case r.conditions != nil: // they are evaluated for an equivalent version
		p.add(r, r.conditions.unnamed(), true)
	default:
		p.add(r, reasonTooNew, true)
	}
}

// evaluated records a policy whose rules and selectors match.
func (p *observation) evaluated(r *registered) {
	outcome, known := p.outcomes.Of(r.by)
	reason := ""
	switch {
	case !known && slices.Contains(p.names, r.by): // its parameters failed
	case !known && time.Since(r.created) < inForceAfter:
		p.add(r, reasonTooNew, true)
		return
	case !known:
		p.add(r, reasonNoParams, true)
		return
	case outcome.Evaluated && outcome.Condition != "":
		reason = reasonFalse(outcome.Condition) + " with other parameters"
	case outcome.Evaluated, p.again && slices.Contains(p.names, r.by):
	case outcome.Condition != "":
		p.add(r, reasonFalse(outcome.Condition), true)
		return
	default:
		p.add(r, reasonFailed, true)
		return
	}
	p.record.Evaluated(p.gate, r.by, reason, r.objects)
	p.record.ChangedBy(p.gate, r.by, outcome.Paths)
}

func (p *observation) add(r *registered, reason string, near bool) {
	one := diagnostics.Uncalled{Gate: p.gate, By: r.by, Reason: reason, Object: r.objects[len(r.objects)-1]}
	if near {
		p.near = append(p.near, one)
		return
	}
	p.far = append(p.far, one)
}
