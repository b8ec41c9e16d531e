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
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol/install"
)

func level(spec flowcontrolv1.PriorityLevelConfigurationSpec) *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{Spec: spec}
}

func TestDefaults(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	const exempt, limited = flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited
	zero := &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: ptr.To[int32](0), LendablePercent: ptr.To[int32](0)}
	for name, test := range map[string]struct{ given, want runtime.Object }{
		"a FlowSchema has the precedence 1000": {
			&flowcontrolv1.FlowSchema{},
			&flowcontrolv1.FlowSchema{Spec: flowcontrolv1.FlowSchemaSpec{MatchingPrecedence: 1000}},
		},
		"an exempt level has no shares, and lends none": {
			level(flowcontrolv1.PriorityLevelConfigurationSpec{Type: exempt, Exempt: &flowcontrolv1.ExemptPriorityLevelConfiguration{}}),
			level(flowcontrolv1.PriorityLevelConfigurationSpec{Type: exempt, Exempt: zero}),
		},
		"a level without a type has no values": {level(flowcontrolv1.PriorityLevelConfigurationSpec{}), level(flowcontrolv1.PriorityLevelConfigurationSpec{})},
		"a limited level has 30 shares, and lends none": {
			level(flowcontrolv1.PriorityLevelConfigurationSpec{Type: limited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{}}),
			level(flowcontrolv1.PriorityLevelConfigurationSpec{Type: limited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{NominalConcurrencyShares: ptr.To[int32](30), LendablePercent: ptr.To[int32](0)}}),
		},
		"zero shares stay zero, and queues are completed": {
			level(flowcontrolv1.PriorityLevelConfigurationSpec{Type: limited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: ptr.To[int32](0), LimitResponse: flowcontrolv1.LimitResponse{Queuing: &flowcontrolv1.QueuingConfiguration{Queues: 4}},
			}}),
			level(flowcontrolv1.PriorityLevelConfigurationSpec{Type: limited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: ptr.To[int32](0), LendablePercent: ptr.To[int32](0),
				LimitResponse: flowcontrolv1.LimitResponse{Queuing: &flowcontrolv1.QueuingConfiguration{Queues: 4, HandSize: 8, QueueLengthLimit: 50}},
			}}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme.Default(test.given)
			if !apiequality.Semantic.DeepEqual(test.given, test.want) {
				t.Errorf("got %+v, want %+v", test.given, test.want)
			}
		})
	}
}
