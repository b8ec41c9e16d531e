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

package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

// Defaults of a kube-apiserver.
const (
	defaultMatchingPrecedence = 1000
	defaultShares             = 30
	defaultQueues             = 64
	defaultHandSize           = 8
	defaultQueueLengthLimit   = 50
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	scheme.AddTypeDefaultingFunc(&flowcontrolv1.FlowSchema{}, func(obj any) { SetDefaults_FlowSchema(obj.(*flowcontrolv1.FlowSchema)) })
	scheme.AddTypeDefaultingFunc(&flowcontrolv1.FlowSchemaList{}, func(obj any) {
		each(obj.(*flowcontrolv1.FlowSchemaList).Items, SetDefaults_FlowSchema)
	})
	scheme.AddTypeDefaultingFunc(&flowcontrolv1.PriorityLevelConfiguration{}, func(obj any) {
		SetDefaults_PriorityLevelConfiguration(obj.(*flowcontrolv1.PriorityLevelConfiguration))
	})
	scheme.AddTypeDefaultingFunc(&flowcontrolv1.PriorityLevelConfigurationList{}, func(obj any) {
		each(obj.(*flowcontrolv1.PriorityLevelConfigurationList).Items, SetDefaults_PriorityLevelConfiguration)
	})
	return nil
}

func each[T any](items []T, set func(*T)) {
	for i := range items {
		set(&items[i])
	}
}

// setDefault replaces a zero value.
func setDefault[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

// SetDefaults_FlowSchema sets the precedence to 1000.
func SetDefaults_FlowSchema(obj *flowcontrolv1.FlowSchema) {
	setDefault(&obj.Spec.MatchingPrecedence, defaultMatchingPrecedence)
}

// SetDefaults_PriorityLevelConfiguration sets shares and percentages that are absent, and the numbers of
// a queuing configuration.
func SetDefaults_PriorityLevelConfiguration(obj *flowcontrolv1.PriorityLevelConfiguration) {
	if exempt := obj.Spec.Exempt; exempt != nil {
		setDefault(&exempt.NominalConcurrencyShares, ptr.To[int32](0))
		setDefault(&exempt.LendablePercent, ptr.To[int32](0))
	}
	limited := obj.Spec.Limited
	if limited == nil {
		return
	}
	setDefault(&limited.NominalConcurrencyShares, ptr.To[int32](defaultShares))
	setDefault(&limited.LendablePercent, ptr.To[int32](0))
	if queuing := limited.LimitResponse.Queuing; queuing != nil {
		setDefault(&queuing.Queues, defaultQueues)
		setDefault(&queuing.HandSize, defaultHandSize)
		setDefault(&queuing.QueueLengthLimit, defaultQueueLengthLimit)
	}
}
