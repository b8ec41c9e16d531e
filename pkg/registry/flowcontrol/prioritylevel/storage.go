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

package prioritylevel

import (
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of priority levels.
type Storage struct {
	PriorityLevel *base.Store
	Status        *base.StatusREST
}

// NewStorage builds the storage of priority levels and of their status.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	main := base.NewSpecStatusStrategy(base.NewBuiltinStrategy(scheme, false, base.UnconditionalUpdate), rules{})
	store, err := base.NewStore(base.Resource{
		Resource: flowcontrol.Resource("prioritylevelconfigurations"),
		Singular: flowcontrol.Resource("prioritylevelconfiguration"),
		Versions: []schema.GroupVersion{flowcontrolv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &flowcontrolv1.PriorityLevelConfiguration{} },
		NewList:  func() runtime.Object { return &flowcontrolv1.PriorityLevelConfigurationList{} },
		Strategy: main,
		Table: base.Table(
			base.NameColumn[*level](),
			column("Type", "Whether the requests are limited.", func(l *level) any { return string(l.Spec.Type) }),
			column("NominalConcurrencyShares", "Share of the server's seats.", func(l *level) any {
				if l.Spec.Limited == nil || l.Spec.Limited.NominalConcurrencyShares == nil {
					return none
				}
				return fmt.Sprint(*l.Spec.Limited.NominalConcurrencyShares)
			}),
			queuing("Queues", "Number of queues.", func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.Queues }),
			queuing("HandSize", "Number of queues among which a flow takes the shortest.", func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.HandSize }),
			queuing("QueueLengthLimit", "Number of requests that wait in a queue.", func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.QueueLengthLimit }),
			base.AgeColumn[*level](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{PriorityLevel: store, Status: store.NewStatusREST(main.ForStatus())}, nil
}

const none = "<none>"

func column(name, description string, value func(*level) any) base.Column[*level] {
	return base.Column[*level]{Name: name, Description: description, Value: value}
}

// queuing returns a column of a level with queues.
func queuing(name, description string, value func(*flowcontrolv1.QueuingConfiguration) int32) base.Column[*level] {
	return column(name, description, func(l *level) any {
		if l.Spec.Limited == nil || l.Spec.Limited.LimitResponse.Queuing == nil {
			return none
		}
		return fmt.Sprint(value(l.Spec.Limited.LimitResponse.Queuing))
	})
}
