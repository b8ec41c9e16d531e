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

package admissionregistration

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const rules = `
    - {operations: [CREATE, UPDATE], apiGroups: [apps, ""], apiVersions: [v1, v1beta1], resources: [pods, pods/status, "*/scale"], scope: "*"}`

const hooks = `
metadata: {name: hooks}
webhooks:
- name: first.example.com
  clientConfig: {url: "https://example.com/a"}
  sideEffects: None
  admissionReviewVersions: [v1, v1beta1]
  namespaceSelector: {matchLabels: {a: b}}
  objectSelector: {matchExpressions: [{key: a, operator: In, values: [b, c]}]}
  matchConditions: [{name: one, expression: "request.name != 'x'"}, {name: two, expression: "true"}]
  timeoutSeconds: 3
  failurePolicy: Fail
  matchPolicy: Exact
  rules: RULES
- name: second.example.com
  clientConfig: {service: {namespace: default, name: hook, path: /a/b, port: 8443}}
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
  rules: RULES
`

const match = `
    namespaceSelector: {matchLabels: {a: b}}
    objectSelector: {matchExpressions: [{key: a, operator: Exists}]}
    matchPolicy: Exact
    resourceRules:
    - {resourceNames: [one, two], operations: [CREATE, UPDATE], apiGroups: [apps, ""], apiVersions: [v1], resources: [pods, pods/status], scope: Namespaced}
    excludeResourceRules:
    - {operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"]}`

const policy = `
metadata: {name: policy}
spec:
  failurePolicy: Ignore
  paramKind: {apiVersion: example.com/v1, kind: Limit}
  matchConstraints: MATCH
  matchConditions: [{name: one, expression: "params.x == 1"}]
  variables: [{name: first, expression: "1 + 1"}, {name: second, expression: "variables.first + 1"}]
`

const validating = policy + `
  validations:
  - {expression: "variables.second == 3", message: no, messageExpression: "'no ' + string(params.x)", reason: Forbidden}
  - {expression: "object.spec.x < 3"}
  auditAnnotations: [{key: one, valueExpression: "string(variables.first)"}, {key: two, valueExpression: "null"}]
`

const mutating = policy + `
  reinvocationPolicy: IfNeeded
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{spec: Object.spec{x: variables.first}}"}
  - patchType: JSONPatch
    jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/a', value: variables.second}]"}
`

const binding = `
metadata: {name: binding}
spec:
  policyName: policy
  paramRef: {namespace: default, PARAMS, parameterNotFoundAction: Deny}
  matchResources: MATCH
`

// read decodes a sample into an object.
func read[T runtime.Object](t *testing.T, sample string, into T) T {
	t.Helper()
	sample = strings.NewReplacer("RULES", rules, "MATCH", match).Replace(sample)
	if err := yaml.UnmarshalStrict([]byte(sample), into); err != nil {
		t.Fatalf("%v\n%s", err, sample)
	}
	return into
}

// samples returns valid objects of every kind.
func samples(t *testing.T) []runtime.Object {
	named := strings.ReplaceAll(binding, "PARAMS", "name: limits")
	selected := strings.ReplaceAll(binding, "PARAMS", "selector: {matchLabels: {a: b}}")
	actions := "  validationActions: [Deny, Audit]\n"
	return []runtime.Object{
		read(t, hooks, &admissionregistrationv1.MutatingWebhookConfiguration{}),
		read(t, hooks, &admissionregistrationv1.ValidatingWebhookConfiguration{}),
		read(t, mutating, &admissionregistrationv1.MutatingAdmissionPolicy{}),
		read(t, validating, &admissionregistrationv1.ValidatingAdmissionPolicy{}),
		read(t, named, &admissionregistrationv1.MutatingAdmissionPolicyBinding{}),
		read(t, selected, &admissionregistrationv1.MutatingAdmissionPolicyBinding{}),
		read(t, named+actions, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}),
		read(t, selected+actions, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}),
	}
}
