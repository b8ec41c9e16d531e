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
	"io"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// RegisterValidating registers the plugin of validating policies under the name of the library's. Its configuration
// is not read: it has only a directory of policies, which the server does not support.
func RegisterValidating(plugins *admission.Plugins) {
	plugins.Register(validating.PluginName, func(io.Reader) (admission.Interface, error) {
		plugin := generic.NewPlugin(
			admission.NewHandler(admission.Create, admission.Update, admission.Delete, admission.Connect),
			func(f informers.SharedInformerFactory, _ kubernetes.Interface, objects dynamic.Interface, mapper meta.RESTMapper) generic.Source[validating.PolicyHook] {
				group := f.Admissionregistration().V1()
				return generic.NewPolicySource(
					group.ValidatingAdmissionPolicies().Informer(), group.ValidatingAdmissionPolicyBindings().Informer(),
					validating.NewValidatingAdmissionPolicyAccessor, validating.NewValidatingAdmissionPolicyBindingAccessor,
					compileValidating, f, objects, mapper,
				)
			},
			func(a authorizer.UnconditionalAuthorizer, m *matching.Matcher, _ kubernetes.Interface) generic.Dispatcher[validating.PolicyHook] {
				return validating.NewDispatcher(a, generic.NewPolicyMatcher(m))
			},
		)
		plugin.SetEnabled(true)
		return &validating.Plugin{Plugin: plugin}, nil
	})
}

// compileValidating returns the evaluator of a policy. The errors of expressions are those of their evaluation.
func compileValidating(p *admissionregistrationv1.ValidatingAdmissionPolicy) validating.Validator {
	spec := &p.Spec
	c, err := newCompiler(spec.ParamKind, spec.Variables)
	if err != nil {
		return validating.NewValidator(nil, nil, nil, nil, spec.FailurePolicy, err)
	}
	conditions := accessors(spec.Validations, func(v *admissionregistrationv1.Validation) cel.ExpressionAccessor {
		return &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}
	})
	annotations := accessors(spec.AuditAnnotations, func(a *admissionregistrationv1.AuditAnnotation) cel.ExpressionAccessor {
		return &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression}
	})
	messages := accessors(spec.Validations, func(v *admissionregistrationv1.Validation) cel.ExpressionAccessor {
		if v.MessageExpression == "" {
			return nil // the validator finds the message of a validation by its index
		}
		return &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
	})
	return validating.NewValidator(
		c.evaluator(conditions, true), c.matcher(spec.MatchConditions, spec.FailurePolicy, p.Name), c.evaluator(annotations, true), c.evaluator(messages, false),
		spec.FailurePolicy, nil,
	)
}
