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
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/utils/ptr"
)

// conditions are the matchConditions of a webhook, of which the library does not report the result.
type conditions struct {
	names []string
	// ignored is true if failurePolicy is Ignore: a condition that fails then prevents the call, too.
	ignored   bool
	evaluator func() cel.ConditionEvaluator
}

// newConditions returns nil for no conditions. They are compiled when they are evaluated for the first time.
func newConditions(all []admissionregistrationv1.MatchCondition, failure *admissionregistrationv1.FailurePolicyType) *conditions {
	if len(all) == 0 {
		return nil
	}
	c := &conditions{ignored: ptr.Deref(failure, admissionregistrationv1.Fail) == admissionregistrationv1.Ignore}
	expressions := make([]cel.ExpressionAccessor, 0, len(all))
	for i := range all {
		c.names = append(c.names, all[i].Name)
		expressions = append(expressions, (*matchconditions.MatchCondition)(&all[i]))
	}
	c.evaluator = sync.OnceValue(func() cel.ConditionEvaluator {
		compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
		return compiler.CompileCondition(expressions, cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions)
	})
	return c
}

// reasonFalse is the reason of a webhook or a policy with a matchCondition that is false.
func reasonFalse(name string) string { return "matchConditions: " + name + " is false" }

// unnamed is the reason of a webhook that one of the conditions prevented. A single one needs no evaluation.
func (c *conditions) unnamed() string {
	switch {
	case len(c.names) > 1:
		return "matchConditions: not all are true of " + strings.Join(c.names, ", ")
	case c.ignored:
		return reasonFalse(c.names[0]) + ", or failed"
	}
	return reasonFalse(c.names[0])
}

// reason evaluates the conditions again, for a request that is unchanged since one of them prevented the call, and
// names that one. They are evaluated without the authorizer, because a question to it can be a request to a
// cluster: one that needs it is the cause if all others are true.
func (c *conditions) reason(ctx context.Context, r *request) string {
	if len(c.names) == 1 {
		return c.unnamed()
	}
	attributes, err := admission.NewVersionedAttributes(r.Attributes, r.GetKind(), r.interfaces)
	if err != nil {
		return c.unnamed()
	}
	asked := cel.CreateAdmissionRequest(r.Attributes, metav1.GroupVersionResource(r.GetResource()), metav1.GroupVersionKind(r.GetKind()))
	results, _, err := c.evaluator().ForInput(ctx, attributes, asked, cel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudgetMatchConditions)
	if err != nil || len(results) != len(c.names) {
		return c.unnamed()
	}
	unknown := ""
	for i := range results {
		switch {
		case results[i].Error != nil && unknown != "":
			return c.unnamed()
		case results[i].Error != nil:
			unknown = c.names[i]
		case results[i].EvalResult != nil && results[i].EvalResult.Value() == false:
			return reasonFalse(c.names[i])
		}
	}
	if unknown == "" {
		return c.unnamed()
	}
	return reasonFalse(unknown) + ", or failed"
}
