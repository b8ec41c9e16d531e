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

package flowcontrol_test

import (
	"slices"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	flowcontrolregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/flowcontrol"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/flowcontrol/flowschema"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

func newSchema(name string) *flowcontrolv1.FlowSchema {
	schema := bootstrap.SuggestedFlowSchemaGlobalDefault.DeepCopy()
	schema.ObjectMeta = metav1.ObjectMeta{Name: name}
	schema.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{
		Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionTrue, Reason: "NotFound", LastTransitionTime: metav1.NewTime(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)),
	}}
	return schema
}

func newLevel() *flowcontrolv1.PriorityLevelConfiguration {
	level := bootstrap.SuggestedPriorityLevelConfigurationGlobalDefault.DeepCopy()
	level.ObjectMeta = metav1.ObjectMeta{Name: "team"}
	level.Status.Conditions = []flowcontrolv1.PriorityLevelConfigurationCondition{{Type: "Tested", Status: flowcontrolv1.ConditionTrue, Reason: "Tested"}}
	return level
}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	below := func(kind string) []registrytest.Subresource {
		return []registrytest.Subresource{{Name: "status", Kind: kind, Verbs: []string{"get", "patch", "update"}}}
	}
	registrytest.Contract(t, registrytest.Group{
		Name:       flowcontrol.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: registrytest.NewStorage(flowcontrolregistry.StorageProvider{}, flowcontrol.GroupName),
		Builtin:    true,
		Resources: []registrytest.Resource{{
			Name:          "flowschemas",
			Singular:      "flowschema",
			Kind:          "FlowSchema",
			Verbs:         registrytest.StandardVerbs,
			Columns:       []string{"NAME", "PRIORITYLEVEL", "MATCHINGPRECEDENCE", "DISTINGUISHERMETHOD", "AGE", "MISSINGPL"},
			Key:           "/registry/flowschemas/team",
			Unconditional: true,
			Sample:        func() runtime.Object { return newSchema("team") },
			ChangeSpec:    func(obj runtime.Object) { obj.(*flowcontrolv1.FlowSchema).Spec.MatchingPrecedence = 77 },
			Subresources:  below("FlowSchema"),
		}, {
			Name:          "prioritylevelconfigurations",
			Singular:      "prioritylevelconfiguration",
			Kind:          "PriorityLevelConfiguration",
			Verbs:         registrytest.StandardVerbs,
			Columns:       []string{"NAME", "TYPE", "NOMINALCONCURRENCYSHARES", "QUEUES", "HANDSIZE", "QUEUELENGTHLIMIT", "AGE"},
			Key:           "/registry/prioritylevelconfigurations/team",
			Unconditional: true,
			Sample:        func() runtime.Object { return newLevel() },
			ChangeSpec: func(obj runtime.Object) {
				obj.(*flowcontrolv1.PriorityLevelConfiguration).Spec.Limited.NominalConcurrencyShares = ptr.To[int32](77)
			},
			Subresources: below("PriorityLevelConfiguration"),
		}},
	})
}

// suiteOf returns the library's suite for a registry, on one of the resources in a real etcd.
func suiteOf(t *testing.T, resource string) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewBuiltinScheme()
	built, err := registrytest.NewStorage(flowcontrolregistry.StorageProvider{}, flowcontrol.GroupName)(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, storage := range built["v1"] {
			storage.Destroy()
		}
	})
	return registrytest.NewSuite(t, scheme, built["v1"][resource].(registrytest.Storage))
}

func TestWritesAreValidated(t *testing.T) {
	t.Run("flowschemas", func(t *testing.T) {
		invalid := newSchema("invalid")
		invalid.Spec.MatchingPrecedence = 1
		suiteOf(t, "flowschemas").Create(newSchema("valid"), registrytest.Refused{Object: invalid, Fields: []string{"spec.matchingPrecedence"}})
		suiteOf(t, "flowschemas").Update(newSchema("valid"), func(obj runtime.Object) { obj.(*flowcontrolv1.FlowSchema).Spec.MatchingPrecedence = 5 },
			registrytest.RefusedChange{Change: func(obj runtime.Object) { obj.(*flowcontrolv1.FlowSchema).Spec.MatchingPrecedence = 10_001 }, Fields: []string{"spec.matchingPrecedence"}})
	})
	t.Run("prioritylevelconfigurations", func(t *testing.T) {
		const shares = "spec.limited.nominalConcurrencyShares"
		set := func(to int32) func(runtime.Object) {
			return func(obj runtime.Object) {
				obj.(*flowcontrolv1.PriorityLevelConfiguration).Spec.Limited.NominalConcurrencyShares = &to
			}
		}
		invalid := newLevel()
		set(-1)(invalid)
		suiteOf(t, "prioritylevelconfigurations").Create(newLevel(), registrytest.Refused{Object: invalid, Fields: []string{shares}})
		suiteOf(t, "prioritylevelconfigurations").Update(newLevel(), set(5), registrytest.RefusedChange{Change: set(-1), Fields: []string{shares}})
	})
}

func TestFlowSchemasAreListedInTheOrderInWhichTheyAreTried(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	storage, err := flowschema.NewStorage(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(storage.FlowSchema.Destroy)
	list := &flowcontrolv1.FlowSchemaList{}
	for name, precedence := range map[string]int32{"d": 9, "b": 7, "a": 8, "c": 8} {
		schema := newSchema(name)
		schema.Spec.MatchingPrecedence = precedence
		list.Items = append(list.Items, *schema)
	}
	first := list.Items[0].Name
	for _, convertor := range []rest.TableConvertor{storage.FlowSchema, storage.Status} {
		table, err := convertor.ConvertToTable(t.Context(), list, &metav1.TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var names []any
		for _, row := range table.Rows {
			names = append(names, row.Cells[0])
		}
		if !slices.Equal(names, []any{"b", "a", "c", "d"}) {
			t.Errorf("listed %v", names)
		}
	}
	if list.Items[0].Name != first {
		t.Error("the list itself was sorted")
	}
}
