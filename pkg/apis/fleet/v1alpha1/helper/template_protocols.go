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

package helper

import (
	"cmp"
	"slices"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// WithProtocols returns the template with the protocol of every port set: an absent one is TCP. It
// does not change its argument, and returns it if no protocol is absent.
func WithProtocols(template *v1alpha1.InstanceTemplateSpec) *v1alpha1.InstanceTemplateSpec {
	absent := func(port v1alpha1.ContainerPort) bool { return port.Protocol == "" }
	if !slices.ContainsFunc(template.Spec.Containers, func(c v1alpha1.Container) bool { return slices.ContainsFunc(c.Ports, absent) }) {
		return template
	}
	filled := template.DeepCopy()
	for _, container := range filled.Spec.Containers {
		for i := range container.Ports {
			container.Ports[i].Protocol = cmp.Or(container.Ports[i].Protocol, v1alpha1.ProtocolTCP)
		}
	}
	return filled
}
