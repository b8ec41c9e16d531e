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

package apiserver

import (
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
)

// maxTypeChecks bounds the checked expressions of a policy; those of variables count once for
// each expression that could use them. Each is compiled against every matched kind during the write:
// 64 of them against ten kinds take about a second of one core.
const maxTypeChecks = 64

// typeCheck finds type errors of a policy's expressions for the kinds that the policy matches, such as
// a field that the kind does not have. kube-controller-manager runs a controller for it, because the
// kinds of a cluster change. Those of this server do not, so the check is part of the write: every
// policy has its result, and a server without policies runs nothing.
type typeCheck struct {
	checker func() *validating.TypeChecker
}

// bind sets the served kinds. The checker is built when the first policy is written.
func (c *typeCheck) bind(served *patchCheck, schemes ...*runtime.Scheme) {
	c.checker = sync.OnceValue(func() *validating.TypeChecker {
		kinds := meta.NewDefaultRESTMapper(nil)
		for at, kind := range served.kinds {
			if at.subresource == "" {
				plural, version := at.GroupVersionResource, at.GroupVersion()
				// The checker reads neither the scope nor the singular.
				kinds.AddSpecific(version.WithKind(kind.Kind), plural, plural, meta.RESTScopeRoot)
			}
		}
		var visible []*runtime.Scheme
		for _, scheme := range schemes {
			visible = append(visible, external(scheme))
		}
		return &validating.TypeChecker{
			SchemaResolver: resolver.NewDefinitionsSchemaResolver(withBuiltinDefinitions, visible...),
			RestMapper:     kinds,
		}
	})
}

// Check returns a warning for each expression with a type error. It does not change the policy.
func (c *typeCheck) Check(policy *admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning {
	if c.checker == nil {
		return nil
	}
	// A validation has two expressions, each of which may use every variable.
	most := max(maxTypeChecks/(2*(1+len(policy.Spec.Variables))), 1)
	all := len(policy.Spec.Validations)
	if all <= most {
		return c.checker().Check(policy)
	}
	part := *policy
	part.Spec.Validations = policy.Spec.Validations[:most]
	return append(c.checker().Check(&part), admissionregistrationv1.ExpressionWarning{
		FieldRef: fmt.Sprintf("spec.validations[%d]", most),
		Warning:  fmt.Sprintf("from here on expressions were not type checked: the policy has %d validations and %d variables, and %d expressions are checked at most", all, len(policy.Spec.Variables), maxTypeChecks),
	})
}
