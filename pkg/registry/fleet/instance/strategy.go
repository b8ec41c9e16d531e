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

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy decides on writes to metadata and spec, and on how an instance is deleted.
type strategy struct{ base.Strategy }

var _ rest.RESTGracefulDeleteStrategy = strategy{}

// GetResetFields names what a write to the main endpoint leaves as it is.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// PrepareForCreate starts an instance as Pending and not ready, with nothing reported.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	instance := obj.(*fleet.Instance)
	instance.Generation = 1
	instance.Status = fleet.InstanceStatus{
		Phase:      fleet.InstancePending,
		Conditions: base.NotReady(metav1.ConditionFalse, "Pending", "no host has reported the instance yet"),
	}
}

// PrepareForUpdate keeps the status and counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	instance, oldInstance := obj.(*fleet.Instance), old.(*fleet.Instance)
	instance.Status = oldInstance.Status
	if !apiequality.Semantic.DeepEqual(instance.Spec, oldInstance.Spec) {
		instance.Generation = oldInstance.Generation + 1
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateInstance(obj.(*fleet.Instance))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateInstanceUpdate(obj.(*fleet.Instance), old.(*fleet.Instance))
}

// CheckGracefulDelete lets the agent of a bound instance stop it before the object goes,
// as the kubelet does for a pod: the first delete sets deletionTimestamp and the grace
// period, the agent's delete with grace 0 ends it. What nobody runs goes at once: an
// instance that is not bound, or has ended.
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

// statusStrategy decides on writes to the status.
type statusStrategy struct{ strategy }

// GetResetFields names what a write to the status endpoint leaves as it is.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec")),
	}
}

// PrepareForUpdate keeps everything but the status.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	instance, oldInstance := obj.(*fleet.Instance), old.(*fleet.Instance)
	instance.Spec = oldInstance.Spec
	base.KeepMetadata(&instance.ObjectMeta, &oldInstance.ObjectMeta)
	if instance.Status.Phase == fleet.InstanceFailed && oldInstance.Status.Phase != fleet.InstanceFailed {
		stall(instance)
	}
}

// maxConditions is the most that the API admits.
const maxConditions = 32

// stall says that an instance that has failed will not become ready any more, so that tools do
// not wait for it. What its agent says of that itself stays.
func stall(instance *fleet.Instance) {
	if len(instance.Status.Conditions) >= maxConditions || apimeta.FindStatusCondition(instance.Status.Conditions, fleet.InstanceConditionStalled) != nil {
		return
	}
	instance.Status.Conditions = append(instance.Status.Conditions, metav1.Condition{
		Type: fleet.InstanceConditionStalled, Status: metav1.ConditionTrue, Reason: "InstanceFailed", Message: instance.Status.Message,
		ObservedGeneration: instance.Generation, LastTransitionTime: metav1.Now(),
	})
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateInstanceStatusUpdate(obj.(*fleet.Instance), old.(*fleet.Instance))
}
