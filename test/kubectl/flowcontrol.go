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

import (
	"context"
	"strings"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func flowControl(s *scene) {
	s.kubectl("get prioritylevelconfiguration catch-all").table("NAME | TYPE | NOMINALCONCURRENCYSHARES | QUEUES | HANDSIZE | QUEUELENGTHLIMIT | AGE",
		"catch-all | Limited | 5 | <none> | <none> | <none> | <age>")
	const team = `
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: $ID}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 10, limitResponse: {type: Queue, queuing: {}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: $ID}
spec:
  priorityLevelConfiguration: {name: $ID}
  distinguisherMethod: {type: ByUser}
  rules:
  - subjects: [{kind: Group, group: {name: $ID}}]
    resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true}]
`
	s.pipe(team, "apply -f -").prints("prioritylevelconfiguration.flowcontrol.apiserver.k8s.io/$ID created", "flowschema.flowcontrol.apiserver.k8s.io/$ID created")
	s.pipe(team, "apply -f -").prints("prioritylevelconfiguration.flowcontrol.apiserver.k8s.io/$ID unchanged", "flowschema.flowcontrol.apiserver.k8s.io/$ID unchanged")
	s.kubectl("get prioritylevelconfiguration $ID").table("NAME | TYPE | NOMINALCONCURRENCYSHARES | QUEUES | HANDSIZE | QUEUELENGTHLIMIT | AGE",
		"$ID | Limited | 10 | 64 | 8 | 50 | <age>")
	kit.EventuallyState(s, "flow control has found the level", func(context.Context) (bool, string) {
		last := s.kubectl("get flowschema $ID -o", `jsonpath={.status.conditions[?(@.type=="Dangling")].status}`)
		return strings.TrimSpace(last.stdout) == "False", last.String()
	})
	s.kubectl("get flowschema $ID").table("NAME | PRIORITYLEVEL | MATCHINGPRECEDENCE | DISTINGUISHERMETHOD | AGE | MISSINGPL",
		"$ID | $ID | 1000 | ByUser | <age> | False")
	s.kubectl("describe flowschema $ID").shows("Name:", "$ID", "Matching Precedence:", "1000", "Type:", "Dangling")
	s.kubectl("explain flowschema.spec.matchingPrecedence").shows("FIELD: matchingPrecedence", "choose among the FlowSchemas")
	s.kubectl("patch flowschema catch-all --type=merge -p", `{"spec":{"matchingPrecedence":5}}`).fails(`The FlowSchema "catch-all" is invalid: spec: Invalid value: "catch-all": the spec of this mandatory FlowSchema is fixed: create another one with its own name`)
	s.kubectl("delete flowschema/$ID prioritylevelconfiguration/$ID").warns("Warning: deleting cluster-scoped resources, not scoped to the provided namespace",
		`flowschema.flowcontrol.apiserver.k8s.io "$ID" deleted`, `prioritylevelconfiguration.flowcontrol.apiserver.k8s.io "$ID" deleted`)
}
