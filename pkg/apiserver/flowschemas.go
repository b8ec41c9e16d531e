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
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// priorityLevels returns copies of the priority levels with which Kubernetes starts a cluster.
func priorityLevels() []*flowcontrolv1.PriorityLevelConfiguration {
	var levels []*flowcontrolv1.PriorityLevelConfiguration
	for _, level := range slices.Concat(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations) {
		levels = append(levels, level.DeepCopy())
	}
	return levels
}

// flowSchemas returns copies of the FlowSchemas with which Kubernetes starts a cluster, and those of the
// fleet.
func flowSchemas(controllers []string) []*flowcontrolv1.FlowSchema {
	var schemas []*flowcontrolv1.FlowSchema
	for _, schema := range slices.Concat(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas) {
		schemas = append(schemas, schema.DeepCopy())
	}
	for _, schema := range fleetFlowSchemas(controllers) {
		schemas = append(schemas, &schema)
	}
	return schemas
}

// fleetFlowSchemas returns FlowSchemas that give hosts and controllers the seats of nodes and of
// Kubernetes' own controllers. Without them they would share the few seats of global-default, where
// all users are equal: the scheduler, which works for a thousand hosts, would get as many as one of
// them.
func fleetFlowSchemas(controllers []string) []flowcontrolv1.FlowSchema {
	hosts := []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: v1alpha1.HostsGroup}}}
	schemas := []flowcontrolv1.FlowSchema{
		// Heartbeats of hosts before their other requests.
		flowSchema("gatehouse-host-high", "node-high", 401, hosts, fleet.GroupName, "hosts", "hosts/status", "hostleases"),
		flowSchema("gatehouse-hosts", "system", 501, hosts, flowcontrolv1.APIGroupAll, flowcontrolv1.ResourceAll),
	}
	if len(controllers) == 0 {
		return schemas // a schema without subjects is not valid
	}
	var users []flowcontrolv1.Subject
	for _, name := range controllers {
		users = append(users, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: name}})
	}
	return append(schemas,
		flowSchema("gatehouse-leader-election", "leader-election", 101, users, "coordination.k8s.io", "leases"),
		flowSchema("gatehouse-controllers", "workload-high", 801, users, flowcontrolv1.APIGroupAll, flowcontrolv1.ResourceAll),
	)
}

// flowSchema assigns the requests of the subjects for the resources to a level, with a flow for each
// user.
func flowSchema(name, level string, precedence int32, subjects []flowcontrolv1.Subject, group string, resources ...string) flowcontrolv1.FlowSchema {
	return flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"}},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level},
			MatchingPrecedence:         precedence,
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: subjects,
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{flowcontrolv1.VerbAll}, APIGroups: []string{group}, Resources: resources,
					ClusterScope: true, Namespaces: []string{flowcontrolv1.NamespaceEvery},
				}},
			}},
		},
	}
}
