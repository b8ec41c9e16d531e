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

package hosttaints

import (
	"context"
	"io"
	"slices"

	"k8s.io/apiserver/pkg/admission"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// PluginName is its name in flags and messages.
const PluginName = "HostTaints"

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin implements admission.MutationInterface.
type Plugin struct {
	*admission.Handler
}

var _ admission.MutationInterface = &Plugin{}

// New returns the plugin.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Create)} }

// Admit taints a host that registers itself, and does not change one that an operator creates.
func (*Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != fleet.Resource("hosts") || a.GetSubresource() != "" {
		return nil
	}
	if _, isHost := host.NameOf(a.GetUserInfo()); !isHost {
		return nil
	}
	object, ok := a.GetObject().(*fleet.Host)
	if !ok {
		return nil
	}
	// A new host has no instances to evict, so NoSchedule is enough.
	taint := fleet.Taint{Key: v1alpha1.TaintHostNotReady, Effect: fleet.TaintEffectNoSchedule}
	if !slices.ContainsFunc(object.Spec.Taints, func(t fleet.Taint) bool { return t.Key == taint.Key && t.Effect == taint.Effect }) {
		object.Spec.Taints = append(object.Spec.Taints, taint)
		diagnostics.From(ctx).Changed("spec.taints")
	}
	return nil
}
