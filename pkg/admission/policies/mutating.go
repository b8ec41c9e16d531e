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

package policies

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// RegisterMutating registers the plugin of mutating policies under the name of the library's. Its configuration is
// not read: it has only a directory of policies, which the server does not support.
func RegisterMutating(plugins *admission.Plugins) {
	plugins.Register(mutating.PluginName, func(io.Reader) (admission.Interface, error) {
		return &mutating.Plugin{Plugin: generic.NewPlugin(
			// A deletion has no object to mutate.
			admission.NewHandler(admission.Create, admission.Update, admission.Connect),
			func(f informers.SharedInformerFactory, _ kubernetes.Interface, objects dynamic.Interface, mapper meta.RESTMapper) generic.Source[mutating.PolicyHook] {
				group := f.Admissionregistration().V1()
				return &boundSource{Source: generic.NewPolicySource(
					group.MutatingAdmissionPolicies().Informer(), group.MutatingAdmissionPolicyBindings().Informer(),
					mutating.NewMutatingAdmissionPolicyAccessor, mutating.NewMutatingAdmissionPolicyBindingAccessor,
					compileMutating, f, objects, mapper,
				)}
			},
			func(a authorizer.UnconditionalAuthorizer, m *matching.Matcher, client kubernetes.Interface) generic.Dispatcher[mutating.PolicyHook] {
				return mutating.NewDispatcher(a, m, patch.NewTypeConverterManager(nil, client.Discovery().OpenAPIV3()))
			},
		)}, nil
	})
}

// compileMutating returns the evaluator of a policy. The errors of expressions are those of their evaluation.
func compileMutating(p *admissionregistrationv1.MutatingAdmissionPolicy) mutating.PolicyEvaluator {
	spec := &p.Spec
	c, err := newCompiler(spec.ParamKind, spec.Variables)
	if err != nil {
		return mutating.PolicyEvaluator{Error: &apiservercel.Error{Type: apiservercel.ErrorTypeInternal, Detail: fmt.Sprintf("the CEL compiler does not start: %v", err)}}
	}
	declared := c.declared
	declared.HasPatchTypes = true
	evaluator := mutating.PolicyEvaluator{CompositedCompiler: c.CompositedCompiler, Matcher: c.matcher(spec.MatchConditions, spec.FailurePolicy, p.Name)}
	for i := range spec.Mutations {
		switch m := &spec.Mutations[i]; {
		case m.PatchType == admissionregistrationv1.PatchTypeJSONPatch && m.JSONPatch != nil:
			compiled := c.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: m.JSONPatch.Expression}, declared, environment.StoredExpressions)
			evaluator.Mutators = append(evaluator.Mutators, patch.NewJSONPatcher(compiled))
		case m.PatchType == admissionregistrationv1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			compiled := c.CompileMutatingEvaluator(&patch.ApplyConfigurationCondition{Expression: m.ApplyConfiguration.Expression}, declared, environment.StoredExpressions)
			evaluator.Mutators = append(evaluator.Mutators, patch.NewApplyConfigurationPatcher(compiled))
		}
	}
	return evaluator
}

// boundSource has a hook for each binding of a policy, whose evaluator reports outcomes with the name of the
// binding: the dispatcher does not pass it on.
type boundSource struct {
	generic.Source[mutating.PolicyHook]
	bound atomic.Pointer[boundHooks]
}

// boundHooks are the hooks of the bindings, and those of the policies from which they were made.
type boundHooks struct{ from, all []mutating.PolicyHook }

// Hooks implements generic.Source.
func (s *boundSource) Hooks() []mutating.PolicyHook {
	hooks := s.Source.Hooks()
	if len(hooks) == 0 {
		return hooks
	}
	if b := s.bound.Load(); b != nil && len(b.from) == len(hooks) && &b.from[0] == &hooks[0] {
		return b.all
	}
	all := make([]mutating.PolicyHook, 0, len(hooks))
	for i := range hooks {
		all = append(all, bind(hooks[i])...)
	}
	s.bound.Store(&boundHooks{hooks, all})
	return all
}

func bind(hook mutating.PolicyHook) []mutating.PolicyHook {
	if hook.ConfigurationError != nil {
		return []mutating.PolicyHook{hook} // an error of the policy is one error, whatever its bindings
	}
	all := make([]mutating.PolicyHook, 0, len(hook.Bindings))
	for _, binding := range hook.Bindings {
		by := hook.Policy.Name + "/" + binding.Name
		one := hook
		one.Bindings = []*mutating.PolicyBinding{binding}
		if m, ok := hook.Evaluator.Matcher.(observedMatcher); ok {
			m.by = by
			one.Evaluator.Matcher = m
		}
		one.Evaluator.Mutators = accessors(hook.Evaluator.Mutators, func(p *patch.Patcher) patch.Patcher { return observedPatcher{*p, by} })
		all = append(all, one)
	}
	return all
}

// observedPatcher reports the fields that a mutation changes.
type observedPatcher struct {
	patch.Patcher
	by string
}

// Patch implements patch.Patcher.
func (p observedPatcher) Patch(ctx context.Context, request patch.Request, budget int64) (runtime.Object, error) {
	patched, err := p.Patcher.Patch(ctx, request, budget)
	outcomes := outcomesFrom(ctx)
	if err != nil || outcomes == nil {
		return patched, err
	}
	if paths := ChangedPaths(request.VersionedAttributes.VersionedObject.Object(), patched); len(paths) > 0 {
		outcomes.note(p.by, func(o *Outcome) { o.Paths = append(o.Paths, paths...) })
	}
	return patched, nil
}
