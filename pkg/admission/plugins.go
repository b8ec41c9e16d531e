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
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
)

// Plugin is one entry of the chain.
type Plugin struct {
	// Name is what flags and messages call it.
	Name string
	// Register adds its factory.
	Register func(*admission.Plugins)
	// Why it stands in the chain, and where.
	Why string
	// Need names the preflight need without which the plugin cannot decide on NeedFor;
	// empty for none.
	Need    string
	NeedFor []admission.Operation
}

// NeedNamespaces is the preflight need of plugins that read namespaces, and NeedQuotas of
// the one that reads resource quotas.
const (
	NeedNamespaces = "namespaces"
	NeedQuotas     = "resource-quotas"
)

// Plugins is the chain, in order. This list is the only place that orders plugins.
func Plugins() []Plugin {
	return []Plugin{{
		Name:     lifecycle.PluginName,
		Register: lifecycle.Register,
		Why:      "first, because nothing else matters for an object whose namespace does not exist or goes away",
		Need:     NeedNamespaces,
		NeedFor:  []admission.Operation{admission.Create},
	}, {
		Name:     hostrestriction.PluginName,
		Register: hostrestriction.Register,
		Why:      "before all that costs more: what a host may not write, nobody else need look at",
	}, {
		Name:     resourcequota.PluginName,
		Register: resourcequota.Register,
		Why:      "last, because what it charges is taken from others: only for a request that everybody else let pass",
		Need:     NeedQuotas,
		NeedFor:  []admission.Operation{admission.Create},
	}}
}

// Config is what the chain reads from.
type Config struct {
	// Client and Informers lead to the objects that plugins look at: the cluster's, or the
	// server's own.
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	// Bindings tells whether an instance is bound to a host.
	Bindings host.Bindings
	// Missing tells in one sentence why a preflight need is not met; nil where it is. The
	// function itself is nil where there is no cluster to need anything of.
	Missing func(need string) error
	// Drained is closed when the server has answered its last request; nil for one that is
	// never stopped.
	Drained <-chan struct{}
}

// New builds the chain. The informers that it asks for must be started afterwards.
func New(c Config) (admission.Interface, error) {
	plugins := admission.NewPlugins()
	entries := Plugins()
	names := make([]string, 0, len(entries))
	byName := map[string]Plugin{}
	for _, entry := range entries {
		entry.Register(plugins)
		names = append(names, entry.Name)
		byName[entry.Name] = entry
	}
	noConfiguration, err := admission.ReadAdmissionConfiguration(names, "", nil)
	if err != nil {
		return nil, err
	}
	// Plugins that want more than clients and informers come with their own initializers.
	initialize := initializer.New(c.Client, nil, c.Informers, nil, nil, nil, c.Drained, nil)
	chain, err := plugins.NewFromPlugins(names, noConfiguration, admission.PluginInitializers{initialize, bindings{c.Bindings}}, admission.Decorators{
		admission.DecoratorFunc(admissionmetrics.WithControllerMetrics),
		guard{plugins: byName, missing: c.Missing},
	})
	if err != nil {
		return nil, err
	}
	return admissionmetrics.WithStepMetrics(chain), nil
}

// bindings gives plugins what tells whether an instance is bound to a host.
type bindings struct{ host.Bindings }

// Initialize implements admission.PluginInitializer.
func (b bindings) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(hostrestriction.WantsBindings); ok {
		wants.SetBindings(b.Bindings)
	}
}
