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

package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// errNotYetReady is the error while informers are not synced after the start.
var errNotYetReady = errors.New("not yet ready to handle request: try again in a few seconds")

// cannotDecide returns the 503 of a plugin that lacks its dependency in the cluster.
func cannotDecide(plugin string, err error) error {
	return apierrors.NewServiceUnavailable(fmt.Sprintf("admission plugin %s cannot decide: %v", plugin, err))
}

// dependencyGuard refuses a write at once, with the reason, while a dependency of a plugin in the
// cluster is missing. Without it the plugin would wait for its informer, ten seconds for each
// write, and then return "not yet ready" or 500.
type dependencyGuard struct {
	plugins map[string]Plugin
	missing func(need string) error
}

// Decorate implements admission.Decorator.
func (g dependencyGuard) Decorate(handler admission.Interface, name string) admission.Interface {
	plugin := g.plugins[name]
	if len(plugin.Reads) == 0 || g.missing == nil {
		return handler
	}
	return &guardedPlugin{Interface: handler, plugin: plugin, missing: g.missing}
}

type guardedPlugin struct {
	admission.Interface
	plugin  Plugin
	missing func(need string) error
}

var (
	_ admission.MutationInterface   = &guardedPlugin{}
	_ admission.ValidationInterface = &guardedPlugin{}
)

// Admit implements admission.MutationInterface.
func (g *guardedPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := g.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	if err := g.check(a); err != nil {
		return err
	}
	return plugin.Admit(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (g *guardedPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := g.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	if err := g.check(a); err != nil {
		return err
	}
	return plugin.Validate(ctx, a, o)
}

// check accepts requests that the plugin ignores: other operations, objects outside of namespaces,
// other resources.
func (g *guardedPlugin) check(a admission.Attributes) error {
	for _, read := range g.plugin.Reads {
		if !slices.Contains(read.For, a.GetOperation()) ||
			(read.Namespaced && a.GetNamespace() == "") ||
			(!read.About.Empty() && a.GetResource().GroupResource() != read.About) {
			continue
		}
		if err := g.missing(read.Need); err != nil {
			return cannotDecide(g.plugin.Name, err)
		}
	}
	return nil
}
