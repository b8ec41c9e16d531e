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

package instance

import (
	"context"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for writes to metadata and spec, and for deletion.
type strategy struct {
	base.SpecStatusStrategy[*fleet.Instance, fleet.InstanceSpec, fleet.InstanceStatus]
}

var _ rest.RESTGracefulDeleteStrategy = strategy{}

// CheckGracefulDelete lets the agent of a bound instance stop it before the object is removed,
// as for a pod: the first delete sets deletionTimestamp and the grace period, and the agent's
// delete with grace period 0 removes the object. An instance that is not bound or has ended is
// removed at once.
func (strategy) CheckGracefulDelete(ctx context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
	if options == nil {
		return false
	}
	instance := obj.(*fleet.Instance)
	requested := base.RequestedGrace(ctx, options)
	var period int64
	switch {
	case instance.Spec.HostName == "" || instance.Status.Phase.Ended():
	case requested != nil:
		period = *requested
	case instance.Spec.TerminationGracePeriodSeconds != nil:
		period = *instance.Spec.TerminationGracePeriodSeconds
	}
	options.GracePeriodSeconds = &period
	return true
}

// statusStrategy is the strategy for writes to the status.
type statusStrategy struct {
	base.StatusEndpointStrategy[*fleet.Instance, fleet.InstanceSpec, fleet.InstanceStatus]
}

// PrepareForUpdate also marks an instance that begins to be Failed as stalled.
func (s statusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.StatusEndpointStrategy.PrepareForUpdate(ctx, obj, old)
	if instance := obj.(*fleet.Instance); instance.Status.Phase == fleet.InstanceFailed && old.(*fleet.Instance).Status.Phase != fleet.InstanceFailed {
		stall(instance)
	}
}

// maxConditions is the maximum number of conditions that the API accepts.
const maxConditions = 32

// stall adds the condition Stalled to an instance that has failed and will not become ready, so
// that tools do not wait for it. A condition Stalled that the agent has set stays.
func stall(instance *fleet.Instance) {
	if len(instance.Status.Conditions) >= maxConditions || apimeta.FindStatusCondition(instance.Status.Conditions, fleet.InstanceConditionStalled) != nil {
		return
	}
	instance.Status.Conditions = append(instance.Status.Conditions, metav1.Condition{
		Type: fleet.InstanceConditionStalled, Status: metav1.ConditionTrue, Reason: "InstanceFailed", Message: instance.Status.Message,
		ObservedGeneration: instance.Generation, LastTransitionTime: metav1.Now(),
	})
}

// rules are those of instances for base.SpecStatusStrategy.
type rules struct{}

func (rules) Spec(instance *fleet.Instance) *fleet.InstanceSpec     { return &instance.Spec }
func (rules) Status(instance *fleet.Instance) *fleet.InstanceStatus { return &instance.Status }

// InitialStatus returns the status of an instance that is Pending and not ready.
func (rules) InitialStatus() fleet.InstanceStatus {
	return fleet.InstanceStatus{
		Phase:      fleet.InstancePending,
		Conditions: base.NotReady(metav1.ConditionFalse, "Pending", "no host has reported the instance yet"),
	}
}

func (rules) Validate(_ context.Context, instance *fleet.Instance) field.ErrorList {
	return validation.ValidateInstance(instance)
}

func (rules) ValidateUpdate(_ context.Context, instance, old *fleet.Instance) field.ErrorList {
	return validation.ValidateInstanceUpdate(instance, old)
}

func (rules) ValidateStatusUpdate(_ context.Context, instance, old *fleet.Instance) field.ErrorList {
	return validation.ValidateInstanceStatusUpdate(instance, old)
}
