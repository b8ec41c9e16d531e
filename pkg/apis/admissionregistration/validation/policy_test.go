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

package validation

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
)

func TestValidatingPolicies(t *testing.T) {
	type policy = admissionregistrationv1.ValidatingAdmissionPolicy
	validator := NewValidator()
	kind := func(version, kind string) func(*policy) {
		return func(p *policy) {
			p.Spec.ParamKind = &admissionregistrationv1.ParamKind{APIVersion: version, Kind: kind}
		}
	}
	validation := func(change func(*admissionregistrationv1.Validation)) func(*policy) {
		return func(p *policy) { change(&p.Spec.Validations[0]) }
	}
	expression := func(text string) func(*policy) {
		return validation(func(v *admissionregistrationv1.Validation) { v.Expression = text })
	}
	message := func(text string) func(*policy) {
		return validation(func(v *admissionregistrationv1.Validation) { v.Message = text })
	}
	messageExpression := func(text string) func(*policy) {
		return validation(func(v *admissionregistrationv1.Validation) { v.MessageExpression = text })
	}
	variables := func(variables ...admissionregistrationv1.Variable) func(*policy) {
		return func(p *policy) { p.Spec.Variables = append(p.Spec.Variables, variables...) }
	}
	variable := func(name, expression string) func(*policy) {
		return variables(admissionregistrationv1.Variable{Name: name, Expression: expression})
	}
	annotation := func(key, expression string) func(*policy) {
		return func(p *policy) {
			p.Spec.AuditAnnotations = []admissionregistrationv1.AuditAnnotation{{Key: key, ValueExpression: expression}}
		}
	}
	annotations := func(n int) func(*policy) {
		return func(p *policy) {
			p.Spec.AuditAnnotations = repeated(n, func(i int) admissionregistrationv1.AuditAnnotation {
				return admissionregistrationv1.AuditAnnotation{Key: numbered(i), ValueExpression: "null"}
			})
		}
	}
	const first = "spec.validations[0]."
	for name, test := range map[string]struct {
		change func(*policy)
		want   []string
	}{
		"a policy":                            {func(*policy) {}, nil},
		"a wrong name":                        {func(p *policy) { p.Name = "A"; p.Spec.AuditAnnotations = nil }, []string{invalid + "metadata.name"}},
		"a name for files":                    {func(p *policy) { p.Name = "a.static.k8s.io" }, []string{invalid + "metadata.name"}},
		"no failure policy":                   {func(p *policy) { p.Spec.FailurePolicy = nil }, []string{required + "spec.failurePolicy"}},
		"another failure policy":              {func(p *policy) { *p.Spec.FailurePolicy = "Open" }, []string{unsupported + "spec.failurePolicy"}},
		"nothing that is matched":             {func(p *policy) { p.Spec.MatchConstraints = nil }, []string{required + "spec.matchConstraints"}},
		"no resource that is matched":         {func(p *policy) { p.Spec.MatchConstraints.ResourceRules = nil }, []string{required + "spec.matchConstraints.resourceRules"}},
		"no match policy":                     {func(p *policy) { p.Spec.MatchConstraints.MatchPolicy = nil }, []string{required + "spec.matchConstraints.matchPolicy"}},
		"another match policy":                {func(p *policy) { *p.Spec.MatchConstraints.MatchPolicy = "Any" }, []string{unsupported + "spec.matchConstraints.matchPolicy"}},
		"no selector of namespaces":           {func(p *policy) { p.Spec.MatchConstraints.NamespaceSelector = nil }, []string{required + "spec.matchConstraints.namespaceSelector"}},
		"no selector of objects":              {func(p *policy) { p.Spec.MatchConstraints.ObjectSelector = nil }, []string{required + "spec.matchConstraints.objectSelector"}},
		"a wrong selector":                    {func(p *policy) { p.Spec.MatchConstraints.ObjectSelector.MatchLabels = map[string]string{"a b": ""} }, []string{invalid + "spec.matchConstraints.objectSelector.matchLabels"}},
		"a wrong rule":                        {func(p *policy) { p.Spec.MatchConstraints.ResourceRules[0].Operations[0] = "GET" }, []string{unsupported + "spec.matchConstraints.resourceRules[0].operations[0]"}},
		"a wrong name of an object":           {func(p *policy) { p.Spec.MatchConstraints.ExcludeResourceRules[0].ResourceNames = []string{"a/b"} }, []string{invalid + "spec.matchConstraints.excludeResourceRules[0].resourceNames[0]"}},
		"a name of an object twice":           {func(p *policy) { p.Spec.MatchConstraints.ResourceRules[0].ResourceNames = []string{"a", "a"} }, []string{duplicate + "spec.matchConstraints.resourceRules[0].resourceNames[1]"}},
		"parameters without a version":        {kind("", "ConfigMap"), []string{required + "spec.paramKind.apiVersion"}},
		"parameters without a kind":           {kind("v1", ""), []string{required + "spec.paramKind.kind"}},
		"parameters with too many groups":     {kind("a/b/v1", "ConfigMap"), []string{invalid + "spec.paramKind.apiVersion"}},
		"parameters of a group without more":  {kind("example.com/", "Limit"), []string{invalid + "spec.paramKind.apiVersion"}},
		"parameters of a wrong group":         {kind("Example/v1", "Limit"), []string{invalid + "spec.paramKind.apiVersion"}},
		"parameters of a wrong version":       {kind("example.com/1", "Limit"), []string{invalid + "spec.paramKind.apiVersion"}},
		"parameters of a wrong kind":          {kind("example.com/v1", "My Limit"), []string{invalid + "spec.paramKind.kind"}},
		"params without a kind of them":       {func(p *policy) { p.Spec.ParamKind = nil; p.Spec.Validations[0].MessageExpression = "" }, []string{invalid + first + "expression"}},
		"a wrong condition":                   {func(p *policy) { p.Spec.MatchConditions[0].Expression = "1" }, []string{invalid + "spec.matchConditions[0].expression"}},
		"a condition on params":               {func(p *policy) { p.Spec.MatchConditions[0].Expression = "params != null" }, nil},
		"a condition on variables":            {func(p *policy) { p.Spec.MatchConditions[0].Expression = "variables.containers" }, []string{invalid + "spec.matchConditions[0].expression"}},
		"nothing to do":                       {func(p *policy) { p.Spec.Validations, p.Spec.AuditAnnotations = nil, nil }, []string{required + "spec.validations", required + "spec.auditAnnotations"}},
		"only annotations":                    {func(p *policy) { p.Spec.Validations = nil }, nil},
		"a validation without an expression":  {expression(" "), []string{required + first + "expression"}},
		"a validation that is no CEL":         {expression("object.spec.containers.all(c,"), []string{invalid + first + "expression"}},
		"a validation that is no bool":        {expression("1 + 1"), []string{invalid + first + "expression"}},
		"a validation on what is not there":   {expression("objekt.spec.x > 1"), []string{invalid + first + "expression"}},
		"a validation on no variable":         {expression("variables.nothing == 1"), []string{invalid + first + "expression"}},
		"a validation on the namespace":       {expression("namespaceObject.metadata.name != 'a'"), nil},
		"a blank message":                     {message(" "), []string{invalid + first + "message"}},
		"a message in two lines":              {message("a\nb"), []string{invalid + first + "message"}},
		"a message with a line's end":         {message("a\n"), nil},
		"no message":                          {message(""), nil},
		"a blank expression of a message":     {messageExpression("\t"), []string{invalid + first + "messageExpression"}},
		"a message that is no text":           {messageExpression("1"), []string{invalid + first + "messageExpression"}},
		"a message on what the user may":      {messageExpression("authorizer.group('').resource('secrets').check('get').reason()"), []string{invalid + first + "messageExpression"}},
		"a message on a variable":             {messageExpression("string(variables.containers.size())"), nil},
		"another reason":                      {validation(func(v *admissionregistrationv1.Validation) { *v.Reason = metav1.StatusReasonConflict }), []string{unsupported + first + "reason"}},
		"a variable without a name":           {variable(" ", "1"), []string{required + "spec.variables[1].name"}},
		"a variable without an expression":    {variable("a", " "), []string{required + "spec.variables[1].expression"}},
		"a variable with a wrong name":        {variable("a-b", "1"), []string{invalid + "spec.variables[1].name"}},
		"a variable called by a word of CEL":  {variable("namespace", "1"), []string{invalid + "spec.variables[1].name"}},
		"a variable that is no CEL":           {variable("a", "1 +"), []string{invalid + "spec.variables[1].expression"}},
		"a variable that uses the one before": {variable("count", "variables.containers.size() + 1"), nil},
		"a variable that uses the next":       {variables(admissionregistrationv1.Variable{Name: "a", Expression: "variables.b"}, admissionregistrationv1.Variable{Name: "b", Expression: "1"}), []string{invalid + "spec.variables[1].expression"}},
		"a variable of the wrong type":        {variables(admissionregistrationv1.Variable{Name: "a", Expression: "'text'"}, admissionregistrationv1.Variable{Name: "b", Expression: "variables.a + 1"}), []string{invalid + "spec.variables[2].expression"}},
		"an annotation with a wrong key":      {annotation("a b", "null"), []string{invalid + "spec.auditAnnotations[0].key"}},
		"an annotation without a value":       {annotation("a", ""), []string{required + "spec.auditAnnotations[0].valueExpression"}},
		"an annotation that is no text":       {annotation("a", "1"), []string{invalid + "spec.auditAnnotations[0].valueExpression"}},
		"an annotation that is too long":      {annotation("a", "'"+strings.Repeat("a", 5<<10)+"'"), []string{required + "spec.auditAnnotations[0].valueExpression"}},
		"20 annotations":                      {annotations(20), nil},
		"21 annotations":                      {annotations(21), []string{invalid + "spec.auditAnnotations"}},
		"an annotation twice":                 {func(p *policy) { p.Spec.AuditAnnotations = append(p.Spec.AuditAnnotations, p.Spec.AuditAnnotations[0]) }, []string{duplicate + "spec.auditAnnotations[1].key"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := validatingPolicy()
			test.change(p)
			expect(t, validator.ValidateValidatingAdmissionPolicy(p, nil), test.want...)
		})
	}
}

func TestMutatingPolicies(t *testing.T) {
	type policy = admissionregistrationv1.MutatingAdmissionPolicy
	validator := NewValidator()
	apply := func(expression string) func(*policy) {
		return func(p *policy) { p.Spec.Mutations[0].ApplyConfiguration.Expression = expression }
	}
	patch := func(expression string) func(*policy) {
		return func(p *policy) { p.Spec.Mutations[1].JSONPatch.Expression = expression }
	}
	const first, second = "spec.mutations[0].", "spec.mutations[1]."
	for name, test := range map[string]struct {
		change func(*policy)
		want   []string
	}{
		"a policy":                {func(*policy) {}, nil},
		"no failure policy":       {func(p *policy) { p.Spec.FailurePolicy = nil }, []string{required + "spec.failurePolicy"}},
		"nothing that is matched": {func(p *policy) { p.Spec.MatchConstraints = nil }, []string{required + "spec.matchConstraints"}},
		"a wrong condition":       {func(p *policy) { p.Spec.MatchConditions[0].Expression = "a" }, []string{invalid + "spec.matchConditions[0].expression"}},
		"a mutation of what is deleted": {func(p *policy) {
			p.Spec.MatchConstraints.ResourceRules[0].Operations[0] = admissionregistrationv1.Delete
		}, []string{unsupported + "spec.matchConstraints.resourceRules.operations"}},
		"a mutation of all operations": {func(p *policy) {
			p.Spec.MatchConstraints.ResourceRules[0].Operations = []admissionregistrationv1.OperationType{"*"}
		}, nil},
		"nothing about reinvocation":     {func(p *policy) { p.Spec.ReinvocationPolicy = "" }, []string{required + "spec.reinvocationPolicy"}},
		"another reinvocation policy":    {func(p *policy) { p.Spec.ReinvocationPolicy = "Always" }, []string{unsupported + "spec.reinvocationPolicy"}},
		"nothing to do":                  {func(p *policy) { p.Spec.Mutations = nil }, []string{required + "spec.mutations"}},
		"a mutation of no type":          {func(p *policy) { p.Spec.Mutations[0].PatchType = "" }, []string{required + first + "patchType"}},
		"a mutation of another type":     {func(p *policy) { p.Spec.Mutations[0].PatchType = "Merge" }, []string{unsupported + first + "patchType"}},
		"a mutation of the wrong type":   {func(p *policy) { p.Spec.Mutations[0].PatchType = admissionregistrationv1.PatchTypeJSONPatch }, []string{required + first + "jsonPatch", invalid + first + "applyConfiguration"}},
		"a patch of the wrong type":      {func(p *policy) { p.Spec.Mutations[1].PatchType = admissionregistrationv1.PatchTypeApplyConfiguration }, []string{required + second + "applyConfiguration", invalid + second + "jsonPatch"}},
		"a mutation of both types":       {func(p *policy) { p.Spec.Mutations[0].JSONPatch = p.Spec.Mutations[1].JSONPatch }, []string{invalid + first + "jsonPatch"}},
		"nothing to apply":               {apply(" "), []string{required + first + "applyConfiguration.expression"}},
		"something that is no object":    {apply("{'a': 'b'}"), []string{invalid + first + "applyConfiguration.expression"}},
		"something that is no CEL":       {apply("Object{"), []string{invalid + first + "applyConfiguration.expression"}},
		"a patch that is blank":          {patch("\n"), []string{required + second + "jsonPatch.expression"}},
		"a patch that is no list":        {patch("JSONPatch{op: 'add'}"), []string{invalid + second + "jsonPatch.expression"}},
		"a patch with a field of no use": {patch("[JSONPatch{oper: 'add'}]"), []string{invalid + second + "jsonPatch.expression"}},
		"a variable of a later one":      {func(p *policy) { p.Spec.Variables[0].Expression = "variables.later" }, []string{invalid + "spec.variables[0].expression"}},
		"no variable":                    {func(p *policy) { p.Spec.Variables = nil }, []string{invalid + first + "applyConfiguration.expression", invalid + second + "jsonPatch.expression"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mutatingPolicy()
			test.change(p)
			expect(t, validator.ValidateMutatingAdmissionPolicy(p, nil), test.want...)
		})
	}
}

func TestWhereAnExpressionIsWrongIsSaid(t *testing.T) {
	policy := validatingPolicy()
	policy.Spec.Validations[0].Expression = "\n  object.spec.replicas <> 1"
	errs := NewValidator().ValidateValidatingAdmissionPolicy(policy, nil)
	if len(errs) == 0 || errs[0].Field != "spec.validations[0].expression" || !strings.Contains(errs[0].Detail, "<input>:2:25") {
		t.Errorf("got %v, want line 2, column 25", errs)
	}
}

func TestExpressionsThatStayAreNotCheckedAgain(t *testing.T) {
	validator := NewValidator()
	t.Run("conditions of a policy", func(t *testing.T) {
		before := validatingPolicy()
		before.Spec.MatchConditions[0].Expression = "later()"
		after := before.DeepCopy()
		after.Spec.Validations[0].Message = "another"
		expect(t, validator.ValidateValidatingAdmissionPolicy(after, before))
		after.Spec.ParamKind.Kind = "Secret"
		expect(t, validator.ValidateValidatingAdmissionPolicy(after, before), invalid+"spec.matchConditions[0].expression")
	})
	t.Run("conditions of a mutating policy", func(t *testing.T) {
		before := mutatingPolicy()
		before.Spec.MatchConditions[0].Expression = "later()"
		after := before.DeepCopy()
		after.Spec.ReinvocationPolicy = admissionregistrationv1.IfNeededReinvocationPolicy
		expect(t, validator.ValidateMutatingAdmissionPolicy(after, before))
		after.Spec.MatchConditions[0].Expression = "later().still()"
		expect(t, validator.ValidateMutatingAdmissionPolicy(after, before), invalid+"spec.matchConditions[0].expression")
	})
	// Functions of a newer server are accepted in stored expressions only, each in its role.
	policy, mutating := validatingPolicy(), mutatingPolicy()
	for in, lenience := range map[role]struct {
		lenience   lenience
		expression string
	}{
		roleMatchCondition:     {lenienceOfValidating(policy, policy), policy.Spec.MatchConditions[0].Expression},
		roleVariable:           {lenienceOfValidating(policy, policy), policy.Spec.Variables[0].Expression},
		roleValidation:         {lenienceOfValidating(policy, policy), policy.Spec.Validations[0].Expression},
		roleMessage:            {lenienceOfValidating(policy, policy), policy.Spec.Validations[0].MessageExpression},
		roleAuditAnnotation:    {lenienceOfValidating(policy, policy), policy.Spec.AuditAnnotations[0].ValueExpression},
		roleApplyConfiguration: {lenienceOfMutating(mutating, mutating), mutating.Spec.Mutations[0].ApplyConfiguration.Expression},
		roleJSONPatch:          {lenienceOfMutating(mutating, mutating), mutating.Spec.Mutations[1].JSONPatch.Expression},
	} {
		if got := lenience.lenience.stored.mode(in, lenience.expression); got != "StoredExpressions" {
			t.Errorf("%s: %q is compiled as %s", in, lenience.expression, got)
		}
		if got := lenience.lenience.stored.mode(in, lenience.expression+" "); got != "NewExpressions" {
			t.Errorf("%s: a new expression is compiled as %s", in, got)
		}
	}
}

func TestNothingIsCompiledWhereThereIsNothingToCompile(t *testing.T) {
	validator := NewValidator()
	built := false
	build := validator.stateless
	validator.stateless = func() plugincel.Compiler { built = true; return build() }
	config := mutatingWebhooks()
	config.Webhooks[0].MatchConditions = nil
	expect(t, validator.ValidateMutatingWebhookConfiguration(config, nil))
	expect(t, validator.ValidateMutatingAdmissionPolicyBinding(mutatingBinding(), nil))
	expect(t, validator.ValidateValidatingAdmissionPolicyBinding(validatingBinding(), nil))
	if built {
		t.Error("a compiler was built for objects without expressions")
	}
	expect(t, validator.ValidateMutatingWebhookConfiguration(mutatingWebhooks(), nil))
	if !built {
		t.Error("a condition was not compiled")
	}
}
