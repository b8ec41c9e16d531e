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
	"errors"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// tracedChain notes in the record of a request which part of the chain has it.
type tracedChain struct{ admission.Interface }

var (
	_ admission.MutationInterface   = &tracedChain{}
	_ admission.ValidationInterface = &tracedChain{}
)

// Admit implements admission.MutationInterface.
func (c *tracedChain) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	chain, ok := c.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	record := diagnostics.From(ctx)
	if record == nil {
		return chain.Admit(ctx, a, o)
	}
	record.Enter(diagnostics.MutatingAdmission)
	record.Named(a.GetName())
	if err := chain.Admit(ctx, &tracedAttributes{Attributes: a, record: record}, o); err != nil {
		return err
	}
	record.Enter(diagnostics.Validation)
	return nil
}

// Validate implements admission.ValidationInterface.
func (c *tracedChain) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	chain, ok := c.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	record := diagnostics.From(ctx)
	if record == nil {
		return chain.Validate(ctx, a, o)
	}
	record.Enter(diagnostics.ValidatingAdmission)
	record.Named(a.GetName()) // that of a create by generateName is made after the mutating plugins
	if err := chain.Validate(ctx, &tracedAttributes{Attributes: a, record: record}, o); err != nil {
		return err
	}
	return record.EnterOrEnd(diagnostics.Storage)
}

// tracedAttributes carries the record to the plugins. The context has it, too; a look-up there costs
// more for each plugin than this.
type tracedAttributes struct {
	admission.Attributes
	record *diagnostics.Record
	// policies is true while mutating policies run: they report changes by asking for another round.
	policies bool
}

// GetReinvocationContext implements admission.Attributes.
func (a *tracedAttributes) GetReinvocationContext() admission.ReinvocationContext {
	context := a.Attributes.GetReinvocationContext()
	if !a.policies {
		return context
	}
	return tracedReinvocation{context, a.record}
}

type tracedReinvocation struct {
	admission.ReinvocationContext
	record *diagnostics.Record
}

// SetShouldReinvoke implements admission.ReinvocationContext.
func (c tracedReinvocation) SetShouldReinvoke() {
	c.record.Changed()
	c.ReinvocationContext.SetShouldReinvoke()
}

// plays are the interfaces that the plugins themselves implement: decorators implement both.
type plays struct{ mutates, validates map[string]bool }

// Decorate implements admission.Decorator. It must come first.
func (p plays) Decorate(handler admission.Interface, name string) admission.Interface {
	_, p.mutates[name] = handler.(admission.MutationInterface)
	_, p.validates[name] = handler.(admission.ValidationInterface)
	return handler
}

// traceDecorator records what each plugin says. It must come last, so that it sees what callers get.
type traceDecorator struct {
	plugins   map[string]Plugin
	plays     plays
	observers map[string]*observer
}

// Decorate implements admission.Decorator.
func (d traceDecorator) Decorate(handler admission.Interface, name string) admission.Interface {
	plugin := d.plugins[name]
	return &tracedPlugin{
		Interface: handler, name: name, mutates: d.plays.mutates[name], validates: d.plays.validates[name],
		// The texts of webhooks and policies may contain values of the object.
		silent: plugin.Foreign || plugin.Expressions, observer: d.observers[name],
	}
}

type tracedPlugin struct {
	admission.Interface
	name                       string
	mutates, validates, silent bool
	// observer is nil for plugins without registrations.
	observer *observer
}

var (
	_ admission.MutationInterface   = &tracedPlugin{}
	_ admission.ValidationInterface = &tracedPlugin{}
)

// Admit implements admission.MutationInterface.
func (p *tracedPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := p.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	traced, ok := a.(*tracedAttributes)
	if !ok || !p.mutates {
		return plugin.Admit(ctx, a, o)
	}
	begun := p.begin(traced.record)
	traced.policies = p.name == mutatingpolicy.PluginName
	within, outcomes := p.observer.watch(ctx)
	err := plugin.Admit(within, a, o)
	traced.policies = false
	p.end(traced.record, diagnostics.MutatingAdmission, begun, err)
	p.observer.observe(ctx, traced.record, outcomes, traced.Attributes, o)
	return err
}

// Validate implements admission.ValidationInterface.
func (p *tracedPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := p.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	traced, ok := a.(*tracedAttributes)
	if !ok || !p.validates {
		return plugin.Validate(ctx, a, o)
	}
	begun := p.begin(traced.record)
	within, outcomes := p.observer.watch(ctx)
	err := plugin.Validate(within, a, o)
	p.end(traced.record, diagnostics.ValidatingAdmission, begun, err)
	p.observer.observe(ctx, traced.record, outcomes, traced.Attributes, o)
	return err
}

func (p *tracedPlugin) begin(record *diagnostics.Record) time.Time {
	record.Running(p.name)
	return time.Now()
}

func (p *tracedPlugin) end(record *diagnostics.Record, gate diagnostics.Gate, begun time.Time, err error) {
	stop := diagnostics.Stop{Gate: gate, By: p.name, Latency: time.Since(begun)}
	if err == nil {
		record.Add(stop)
		return
	}
	stop.Verdict = diagnostics.Refused
	if !p.silent {
		stop.Reason = reasonOf(err)
	}
	record.Add(stop)
	if p.silent {
		by, how := refuserOf(err)
		record.RefusedBy(gate, p.name, by, how)
	}
}

// reasonOf returns the text of a refusal without that of its fields, which contain values.
func reasonOf(err error) string {
	var known *apierrors.StatusError
	if errors.As(err, &known) && known.ErrStatus.Details != nil && len(known.ErrStatus.Details.Causes) > 0 {
		return string(known.ErrStatus.Reason)
	}
	return err.Error()
}

var (
	// refusingWebhook and refusingPolicy match the texts of the library's plugins.
	refusingWebhook = regexp.MustCompile(`^(?:admission webhook|failed calling webhook|Internal error occurred: failed calling webhook) "([^"]{1,253})"`)
	refusingPolicy  = regexp.MustCompile(`(?:ValidatingAdmissionPolicy|policy) ['"]([^'"]{1,253})['"](?: with binding ['"]([^'"]{1,253})['"])? (?:denied|failed)`)
)

// refuserOf returns the webhook, or the policy with its binding, that refused, and how; empty if it is
// not known. It returns nothing of the text of a webhook or a policy.
func refuserOf(err error) (by, how string) {
	text := err.Error()
	if found := refusingWebhook.FindStringSubmatch(text); found != nil {
		if strings.HasPrefix(text, "admission webhook") {
			return found[1], "the webhook denied the request"
		}
		return found[1], "the call of the webhook failed"
	}
	if found := refusingPolicy.FindStringSubmatch(text); found != nil {
		by := found[1]
		if found[2] != "" {
			by += "/" + found[2]
		}
		return by, "the policy denied the request"
	}
	return "", ""
}
