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

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
)

// compiler compiles the expressions of one policy, which may use its variables.
type compiler struct {
	*cel.CompositedCompiler
	declared cel.OptionalVariableDeclarations
}

func newCompiler(params *admissionregistrationv1.ParamKind, variables []admissionregistrationv1.Variable) (*compiler, error) {
	composited, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return nil, err
	}
	c := &compiler{composited, cel.OptionalVariableDeclarations{HasParams: params != nil, HasAuthorizer: true}}
	named := accessors(variables, func(v *admissionregistrationv1.Variable) cel.NamedExpressionAccessor {
		return &validating.Variable{Name: v.Name, Expression: v.Expression}
	})
	c.CompileAndStoreVariables(named, c.declared, environment.StoredExpressions)
	return c, nil
}

// accessors returns the accessors of expressions.
func accessors[T, A any](all []T, accessor func(*T) A) []A {
	result := make([]A, len(all))
	for i := range all {
		result[i] = accessor(&all[i])
	}
	return result
}

// evaluator compiles expressions. Those without the authorizer are for messages.
func (c *compiler) evaluator(all []cel.ExpressionAccessor, withAuthorizer bool) cel.ConditionEvaluator {
	declared := c.declared
	declared.HasAuthorizer = withAuthorizer
	return c.CompileCondition(all, declared, environment.StoredExpressions)
}

// matcher compiles matchConditions, and returns a matcher that reports the outcome as that of by.
func (c *compiler) matcher(all []admissionregistrationv1.MatchCondition, failure *admissionregistrationv1.FailurePolicyType, by string) matchconditions.Matcher {
	observed := observedMatcher{by: by}
	if len(all) > 0 {
		conditions := accessors(all, func(m *admissionregistrationv1.MatchCondition) cel.ExpressionAccessor {
			return (*matchconditions.MatchCondition)(m)
		})
		// The library has these labels of metrics for both kinds of policies.
		observed.Matcher = matchconditions.NewMatcher(c.evaluator(conditions, true), failure, "policy", "validate", by)
	}
	return observed
}

// observedMatcher reports outcomes.
type observedMatcher struct {
	// Matcher is nil for a policy without matchConditions.
	matchconditions.Matcher
	by string
}

// Match implements matchconditions.Matcher.
func (m observedMatcher) Match(ctx context.Context, attributes *admission.VersionedAttributes, params runtime.Object, authz authorizer.UnconditionalAuthorizer) matchconditions.MatchResult {
	result := matchconditions.MatchResult{Matches: true}
	if m.Matcher != nil {
		result = m.Matcher.Match(ctx, attributes, params, authz)
	}
	outcomesFrom(ctx).note(m.by, func(o *Outcome) {
		switch {
		case result.Matches || result.Error != nil:
			o.Evaluated = true
		case result.FailedConditionName == "":
			o.Failed = true
		case o.Condition == "":
			o.Condition = result.FailedConditionName
		}
	})
	return result
}
