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

package kubectl

// Webhooks and policies as users write them: omitted fields are defaulted. They match no object of
// the tour, because their API group does not exist. Some rules set a
// scope, because kubectl treats a list in which a default was set as changed.
const (
	tourWebhooks = `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: $ID}
webhooks:
- name: inject.example.com
  clientConfig: {service: {namespace: $ID, name: injector, path: /inject}}
  rules: [{operations: [CREATE], apiGroups: [tour.example.com], apiVersions: [v1], resources: [things]}]
  sideEffects: None
  admissionReviewVersions: [v1]
`
	tourPolicy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: $ID}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [tour.example.com], apiVersions: [v1], resources: [things], scope: "*"}]
  variables: [{name: images, expression: "object.spec.containers.map(c, c.image)"}]
  validations: [{expression: "variables.images.all(i, i.startsWith(params.data.registry))", message: use our registry}]
`
	tourBinding = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: $ID}
spec:
  policyName: $ID
  paramRef: {namespace: $ID, name: registries, parameterNotFoundAction: Deny}
  validationActions: [Deny]
`
	tourMutation = `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: $ID}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [tour.example.com], apiVersions: [v1], resources: [things]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'team': 'tour'}}}"}
`
	tourWrongPolicy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: $ID-wrong}
spec:
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [tour.example.com], apiVersions: [v1], resources: [things]}]
  validations: [{expression: "object.spec.replicas <> 1"}]
`
)

func policies(s *scene) {
	const group = ".admissionregistration.k8s.io/$ID"
	s.pipe(tourWebhooks+"---\n"+tourPolicy+"---\n"+tourBinding+"---\n"+tourMutation, "apply -f -").prints(
		"mutatingwebhookconfiguration"+group+" created", "validatingadmissionpolicy"+group+" created",
		"validatingadmissionpolicybinding"+group+" created", "mutatingadmissionpolicy"+group+" created")
	s.pipe(tourPolicy, "apply -f -").prints("validatingadmissionpolicy" + group + " unchanged")
	s.kubectl("get mutatingwebhookconfiguration $ID").table("NAME | WEBHOOKS | AGE", "$ID | 1 | <age>")
	s.kubectl("get validatingadmissionpolicy $ID").table("NAME | VALIDATIONS | PARAMKIND | AGE", "$ID | 1 | v1/ConfigMap | <age>")
	s.kubectl("get validatingadmissionpolicybinding $ID").table("NAME | POLICYNAME | PARAMREF | AGE", "$ID | $ID | $ID/registries | <age>")
	s.kubectl("get mutatingadmissionpolicy $ID").table("NAME | MUTATIONS | PARAMKIND | AGE", "$ID | 1 | <unset> | <age>")
	s.kubectl("get mutatingwebhookconfiguration $ID -o", `jsonpath={.webhooks[0].failurePolicy} {.webhooks[0].timeoutSeconds} {.webhooks[0].clientConfig.service.port}{"\n"}`).prints("Fail 10 443")
	s.kubectl("describe validatingadmissionpolicy $ID").shows("Name:", "$ID", "Failure Policy:", "Fail", "Param Kind:", "ConfigMap")
	s.kubectl("explain validatingadmissionpolicy.spec.validations.expression").shows("ValidatingAdmissionPolicy", "CEL")
	s.kubectl("get api-extensions -o name").shows("mutatingwebhookconfiguration"+group, "validatingadmissionpolicybinding"+group)

	s.pipe(tourWrongPolicy, "apply -f -").complains(`The ValidatingAdmissionPolicy "$ID-wrong" is invalid: spec.validations[0].expression`, "<input>:1:23", "Syntax error")
	s.kubectl("patch validatingadmissionpolicybinding $ID --type=merge -p", `{"spec":{"validationActions":["Deny","Warn"]}}`).complains(
		`The ValidatingAdmissionPolicyBinding "$ID" is invalid: spec.validationActions`, "leave one of them out")
	// kubectl warns that these objects are in no namespace.
	if r := s.kubectl("delete mutatingwebhookconfiguration,validatingadmissionpolicy,validatingadmissionpolicybinding,mutatingadmissionpolicy $ID"); r.code != 0 {
		s.Fatal(r)
	}
}
