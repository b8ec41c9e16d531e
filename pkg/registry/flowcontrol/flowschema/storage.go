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

package flowschema

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of FlowSchemas.
type Storage struct {
	FlowSchema *base.Store
	Status     *base.StatusREST
}

// NewStorage builds the storage of FlowSchemas and of their status.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	main := base.NewSpecStatusStrategy(base.NewBuiltinStrategy(scheme, false, base.UnconditionalUpdate), rules{})
	store, err := base.NewStore(base.Resource{
		Resource: flowcontrol.Resource("flowschemas"),
		Singular: flowcontrol.Resource("flowschema"),
		Versions: []schema.GroupVersion{flowcontrolv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &flowcontrolv1.FlowSchema{} },
		NewList:  func() runtime.Object { return &flowcontrolv1.FlowSchemaList{} },
		Strategy: main,
		Table: byPrecedence{base.Table(
			base.NameColumn[*flowSchema](),
			column("PriorityLevel", "Priority level that the requests are assigned to.", func(s *flowSchema) any { return s.Spec.PriorityLevelConfiguration.Name }),
			column("MatchingPrecedence", "The FlowSchema with the smallest number that matches a request assigns it.", func(s *flowSchema) any { return fmt.Sprint(s.Spec.MatchingPrecedence) }),
			column("DistinguisherMethod", "What divides the requests into flows: users, namespaces or nothing.", distinguisher),
			base.AgeColumn[*flowSchema](),
			column("MissingPL", "Whether the priority level is missing or broken.", missingLevel),
		)},
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{FlowSchema: store, Status: store.NewStatusREST(main.ForStatus())}, nil
}

func column(name, description string, value func(*flowSchema) any) base.Column[*flowSchema] {
	return base.Column[*flowSchema]{Name: name, Description: description, Value: value}
}

func distinguisher(schema *flowSchema) any {
	if schema.Spec.DistinguisherMethod == nil {
		return "<none>"
	}
	return string(schema.Spec.DistinguisherMethod.Type)
}

// missingLevel returns ? until flow control has read the FlowSchema.
func missingLevel(schema *flowSchema) any {
	for _, condition := range schema.Status.Conditions {
		if condition.Type == flowcontrolv1.FlowSchemaConditionDangling {
			return string(condition.Status)
		}
	}
	return "?"
}

// byPrecedence sorts the rows of a list in the order in which FlowSchemas are tried, as a kube-apiserver
// does.
type byPrecedence struct{ rest.TableConvertor }

// ConvertToTable implements rest.TableConvertor.
func (c byPrecedence) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	if list, ok := object.(*flowcontrolv1.FlowSchemaList); ok {
		sorted := *list
		sorted.Items = slices.SortedFunc(slices.Values(list.Items), func(a, b flowSchema) int {
			return cmp.Or(cmp.Compare(a.Spec.MatchingPrecedence, b.Spec.MatchingPrecedence), cmp.Compare(a.Name, b.Name))
		})
		object = &sorted
	}
	return c.TableConvertor.ConvertToTable(ctx, object, options)
}
