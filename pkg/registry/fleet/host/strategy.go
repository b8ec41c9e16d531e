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

package host

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy decides on writes to metadata and spec.
type strategy struct{ base.Strategy }

// GetResetFields names what a write to the main endpoint leaves as it is.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// PrepareForCreate starts a host with a status that says that its agent has not reported yet.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	host := obj.(*fleet.Host)
	host.Generation = 1
	host.Status = fleet.HostStatus{Conditions: base.NotReady(metav1.ConditionUnknown, fleet.HostReasonNotReported, "the host's agent has not reported yet")}
}

// PrepareForUpdate keeps the status and counts changes of the spec.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	host, oldHost := obj.(*fleet.Host), old.(*fleet.Host)
	host.Status = oldHost.Status
	if !apiequality.Semantic.DeepEqual(host.Spec, oldHost.Spec) {
		host.Generation = oldHost.Generation + 1
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateHost(obj.(*fleet.Host))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateHostUpdate(obj.(*fleet.Host), old.(*fleet.Host))
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
	host, oldHost := obj.(*fleet.Host), old.(*fleet.Host)
	host.Spec = oldHost.Spec
	base.KeepMetadata(&host.ObjectMeta, &oldHost.ObjectMeta)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateHostStatusUpdate(obj.(*fleet.Host), old.(*fleet.Host))
}
