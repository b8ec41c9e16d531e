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
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/policies"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

const (
	// shadowTime bounds the calls in shadow for a request, besides the timeouts of the webhooks.
	shadowTime = 30 * time.Second
	// mostShadows is the number of requests of a plugin for which webhooks and policies in shadow are asked
	// at once. Further requests are not asked: shadows must not use the memory of the server.
	mostShadows = 64
)

// shadowRegisters are the plugins that may have webhooks or bindings in shadow.
func shadowRegisters() map[string]func(*admission.Plugins) {
	return map[string]func(*admission.Plugins){
		mutatingwebhook.PluginName:   mutatingwebhook.Register,
		validatingwebhook.PluginName: validatingwebhook.Register,
		validatingpolicy.PluginName:  policies.RegisterValidating,
	}
}

// shadow asks the webhooks or the policies of a plugin that are in shadow. They are asked by an instance of the
// library's plugin of their own, with a copy of the object, as a dry run, and after the plugin has let the
// request pass. The request waits for none of them, so a slow one does not decide either.
type shadow struct {
	*observer
	running chan struct{}
	// build returns the instance, which is built for the first request that is asked.
	build func() (admission.Interface, error)
}

func newShadow(b *observer, build func() (admission.Interface, error)) *shadow {
	return &shadow{observer: b, running: make(chan struct{}, mostShadows), build: sync.OnceValues(build)}
}

// shadowDecorator asks in shadow after the plugin.
type shadowDecorator map[string]*shadow

// Decorate implements admission.Decorator.
func (d shadowDecorator) Decorate(handler admission.Interface, name string) admission.Interface {
	s := d[name]
	if s == nil {
		return handler
	}
	return &shadowPlugin{handler, s}
}

type shadowPlugin struct {
	admission.Interface
	shadow *shadow
}

var (
	_ admission.MutationInterface   = &shadowPlugin{}
	_ admission.ValidationInterface = &shadowPlugin{}
)

// Admit implements admission.MutationInterface.
func (p *shadowPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := p.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	if err := plugin.Admit(ctx, a, o); err != nil {
		return err
	}
	if p.shadow.gate == diagnostics.MutatingAdmission {
		p.shadow.ask(ctx, a, o)
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *shadowPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := p.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	if err := plugin.Validate(ctx, a, o); err != nil {
		return err
	}
	if p.shadow.gate == diagnostics.ValidatingAdmission {
		p.shadow.ask(ctx, a, o)
	}
	return nil
}

// ask asks those that match, without waiting.
func (s *shadow) ask(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) {
	current := s.registrations.current()
	if current == nil || !current.shadow || s.exempt(a) {
		return
	}
	if again := a.GetReinvocationContext(); again != nil && again.IsReinvoke() {
		return
	}
	matching := newRequest(a, o, s.namespaces)
	asked := slices.Clone(current.all)
	asked = slices.DeleteFunc(asked, func(r registered) bool {
		return !r.shadow || r.inert != "" || slices.ContainsFunc(r.all, func(c criteria) bool {
			reason, _ := matching.misfit(&c)
			return reason != ""
		})
	})
	if len(asked) == 0 {
		return
	}
	call := &shadowCall{shadow: s, record: diagnostics.From(ctx), asked: asked}
	select {
	case s.running <- struct{}{}:
	default:
		for i := range asked {
			call.report(&asked[i], diagnostics.Stop{Verdict: diagnostics.NotCalled, Reason: fmt.Sprintf("%d requests are asked in shadow already", mostShadows)}, nil)
		}
		return
	}
	attributes := &shadowAttributes{Attributes: admission.NewAttributesRecord(
		copyOf(a.GetObject()), copyOf(a.GetOldObject()), a.GetKind(), a.GetNamespace(), a.GetName(), a.GetResource(), a.GetSubresource(),
		a.GetOperation(), a.GetOperationOptions(), true, a.GetUserInfo(),
	)}
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				klog.Background().Error(nil, "Panic in a call in shadow", "plugin", s.plugin, "panic", fault)
			}
			<-s.running
		}()
		call.run(attributes, o)
	}()
}

func copyOf(object runtime.Object) runtime.Object {
	if object == nil {
		return nil
	}
	return object.DeepCopyObject()
}

// shadowAttributes keep what the library reports to the audit log.
type shadowAttributes struct {
	admission.Attributes
	mu       sync.Mutex
	failures []string
}

// AddAnnotation implements admission.Attributes.
func (a *shadowAttributes) AddAnnotation(key, value string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if key == diagnostics.PolicyFailure {
		a.failures = append(a.failures, diagnostics.PolicyFailures(value)...)
	}
	return nil
}

// AddAnnotationWithLevel implements admission.Attributes.
func (a *shadowAttributes) AddAnnotationWithLevel(key, value string, _ audit.Level) error {
	return a.AddAnnotation(key, value)
}

// shadowCall is a request that is asked in shadow.
type shadowCall struct {
	*shadow
	record *diagnostics.Record
	asked  []registered

	mu sync.Mutex
	// answered are the names of the webhooks that were called.
	answered []string
}

type shadowKey struct{}

// run asks, and reports each of those that were asked.
func (c *shadowCall) run(a *shadowAttributes, o admission.ObjectInterfaces) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), shadowKey{}, c), shadowTime)
	defer cancel()
	ctx, outcomes := policies.WithOutcomes(ctx)
	begun := time.Now()
	plugin, err := c.build()
	if err == nil {
		err = c.dispatch(ctx, plugin, a, o)
	}
	latency := time.Since(begun)
	by := ""
	if err != nil {
		by, _ = refuserOf(err)
	}
	for i := range c.asked {
		one := &c.asked[i]
		stop := diagnostics.Stop{Latency: latency}
		outcome, known := outcomes.Of(one.by)
		switch {
		case !c.policies() && one.calledAs(c.calls()):
			continue // reported with its answer
		case c.policies() && (slices.Contains(a.failures, one.by) || by != "" && one.calledAs([]string{by})):
			stop.Verdict, stop.Reason = diagnostics.WouldRefuse, "the policy is against the request"
		case err != nil:
			stop.Verdict, stop.Reason = diagnostics.Ignored, "the call failed"
		case c.policies() && outcome.Evaluated:
		case c.policies() && outcome.Condition != "":
			stop.Verdict, stop.Reason = diagnostics.NotCalled, reasonFalse(outcome.Condition)
		case c.policies() && known:
			stop.Verdict, stop.Reason = diagnostics.NotCalled, reasonFailed
		case one.conditions != nil:
			stop.Verdict, stop.Reason = diagnostics.NotCalled, one.conditions.unnamed()
		default:
			stop.Verdict, stop.Reason = diagnostics.NotCalled, reasonTooNew
		}
		c.report(one, stop, nil)
	}
}

func (c *shadowCall) dispatch(ctx context.Context, plugin admission.Interface, a admission.Attributes, o admission.ObjectInterfaces) error {
	if !plugin.Handles(a.GetOperation()) {
		return nil
	}
	if c.gate == diagnostics.MutatingAdmission {
		return plugin.(admission.MutationInterface).Admit(ctx, a, o)
	}
	return plugin.(admission.ValidationInterface).Validate(ctx, a, o)
}

func (c *shadowCall) calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.answered)
}

// answer reports the answer of a webhook, which is named by name or address.
func (c *shadowCall) answer(by string, stop diagnostics.Stop, paths []string) {
	c.mu.Lock()
	c.answered = append(c.answered, by)
	c.mu.Unlock()
	for i := range c.asked {
		if c.asked[i].calledAs([]string{by}) {
			c.report(&c.asked[i], stop, paths)
		}
	}
}

// report counts and records what one of them said.
func (c *shadowCall) report(one *registered, stop diagnostics.Stop, paths []string) {
	kind := "webhook"
	if c.policies() {
		kind = "policy"
	}
	countShadow(kind, one.by, stop.Verdict)
	stop.Gate, stop.By = c.gate, one.by
	stop.Details = &diagnostics.Details{Objects: one.objects}
	c.record.Shadowed(stop, paths)
}
