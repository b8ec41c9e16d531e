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

package fuzzer

import (
	"cmp"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// Funcs fill the hub types. What a decoder would default is never left empty: an object
// comes back from a round trip with its defaults, and would else not equal itself. A new
// default in a version belongs here, too, and the round trip test fails until it is.
func Funcs(serializer.CodecFactory) []any {
	return []any{
		fillHostStatus,
		fillHostLeaseSpec,
		fillInstanceSpec,
		fillContainer,
		fillInstance,
		fillProbe,
		fillHTTPGet,
		fillConfigMapVolume,
		fillSecretVolume,
		fillBindingTarget,
		fillAppSpec,
		fillAppStrategy,
		fillReleaseSpec,
		fillIntOrString,
	}
}

func fillHostStatus(status *fleet.HostStatus, c randfill.Continue) {
	c.FillNoCustom(status)
	if len(status.Allocatable) == 0 {
		status.Allocatable = status.Capacity.DeepCopy()
	}
}

func fillHostLeaseSpec(spec *fleet.HostLeaseSpec, c randfill.Continue) {
	c.FillNoCustom(spec)
	setDefault(&spec.LeaseDurationSeconds, 40)
}

func fillInstance(instance *fleet.Instance, c randfill.Continue) {
	c.FillNoCustom(instance)
	for i := range instance.Spec.Containers {
		resources := &instance.Spec.Containers[i].Resources
		for name, limit := range resources.Limits {
			if resources.Requests == nil {
				resources.Requests = fleet.ResourceList{}
			}
			if _, found := resources.Requests[name]; !found {
				resources.Requests[name] = limit.DeepCopy()
			}
		}
	}
}

func fillInstanceSpec(spec *fleet.InstanceSpec, c randfill.Continue) {
	c.FillNoCustom(spec)
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = fleet.RestartPolicyAlways
	}
	setDefault(&spec.TerminationGracePeriodSeconds, 30)
}

func fillContainer(container *fleet.Container, c randfill.Continue) {
	c.FillNoCustom(container)
	if container.ImagePullPolicy == "" {
		container.ImagePullPolicy = fleet.PullNever
	}
}

func fillProbe(probe *fleet.Probe, c randfill.Continue) {
	c.FillNoCustom(probe)
	for field, value := range map[*int32]int32{&probe.TimeoutSeconds: 1, &probe.PeriodSeconds: 10, &probe.SuccessThreshold: 1, &probe.FailureThreshold: 3} {
		*field = cmp.Or(*field, value)
	}
}

func fillHTTPGet(get *fleet.HTTPGetAction, c randfill.Continue) {
	c.FillNoCustom(get)
	get.Path, get.Scheme = cmp.Or(get.Path, "/"), cmp.Or(get.Scheme, fleet.URISchemeHTTP)
}

func fillConfigMapVolume(source *fleet.ConfigMapVolumeSource, c randfill.Continue) {
	c.FillNoCustom(source)
	setDefault(&source.DefaultMode, 0o644)
}

func fillSecretVolume(source *fleet.SecretVolumeSource, c randfill.Continue) {
	c.FillNoCustom(source)
	setDefault(&source.DefaultMode, 0o644)
}

func fillBindingTarget(target *fleet.BindingTarget, c randfill.Continue) {
	c.FillNoCustom(target)
	if target.Kind == "" {
		target.Kind = "Host"
	}
}

func fillAppSpec(spec *fleet.AppSpec, c randfill.Continue) {
	c.FillNoCustom(spec)
	setDefault(&spec.Replicas, 1)
	setDefault(&spec.RevisionHistoryLimit, 10)
	setDefault(&spec.ProgressDeadlineSeconds, 600)
}

func fillAppStrategy(strategy *fleet.AppStrategy, c randfill.Continue) {
	if c.Bool() {
		*strategy = fleet.AppStrategy{Type: fleet.RecreateAppStrategy}
		return
	}
	*strategy = fleet.AppStrategy{Type: fleet.RollingUpdateAppStrategy, RollingUpdate: &fleet.RollingUpdateApp{}}
	c.Fill(strategy.RollingUpdate)
	setDefault(&strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
	setDefault(&strategy.RollingUpdate.MaxSurge, intstr.FromInt32(1))
}

func fillReleaseSpec(spec *fleet.ReleaseSpec, c randfill.Continue) {
	c.FillNoCustom(spec)
	setDefault(&spec.Replicas, 1)
}

// fillIntOrString fills only the field that the type selects: JSON loses the other one.
func fillIntOrString(value *intstr.IntOrString, c randfill.Continue) {
	if c.Bool() {
		*value = intstr.FromInt32(c.Int31())
	} else {
		*value = intstr.FromString(c.String(0))
	}
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
