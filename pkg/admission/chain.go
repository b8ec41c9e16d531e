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
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	webhookinitializer "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
)

// Config is what the chain is built of.
type Config struct {
	// Enabled are the plugins that run; their order is that of Plugins whatever it is here.
	Enabled []string
	// Configuration is the content of --admission-control-config-file; nil for none.
	Configuration admission.ConfigProvider
	// Initializers give plugins what is the library's: clients, informers, the authorizer.
	Initializers admission.PluginInitializers
	// Informers lead to the objects that plugins look at: the cluster's, or the server's own.
	Informers informers.SharedInformerFactory
	// Services find the service of a webhook's clientConfig.
	Services webhook.ServiceResolver
	// Bindings tells whether an instance is bound to a host.
	Bindings host.Bindings
	// Missing tells in one sentence why a preflight need is not met; nil where it is. The
	// function itself is nil where there is no cluster to need anything of.
	Missing func(need string) error
}

// New builds the chain. The informers that it asks for must be started afterwards.
func New(c Config) (admission.Interface, error) {
	if c.Services == nil {
		return nil, errors.New("the admission chain was not told how to find the services of webhooks")
	}
	plugins := admission.NewPlugins()
	enabled := map[string]bool{}
	for _, name := range c.Enabled {
		enabled[name] = true
	}
	var names []string
	byName := map[string]Plugin{}
	for _, entry := range Plugins() {
		entry.Register(plugins)
		byName[entry.Name] = entry
		if enabled[entry.Name] {
			names = append(names, entry.Name)
			delete(enabled, entry.Name)
		}
	}
	for unknown := range enabled {
		return nil, fmt.Errorf("there is no admission plugin %q", unknown)
	}
	configuration := c.Configuration
	if configuration == nil {
		var err error
		if configuration, err = admission.ReadAdmissionConfiguration(names, "", nil); err != nil {
			return nil, err
		}
	}
	initializers := append(admission.PluginInitializers{}, c.Initializers...)
	// The wrapper adds no credentials: webhooks get none of the server's.
	initializers = append(initializers, webhookinitializer.NewPluginInitializer(guardedWebhooks, c.Services), excluded{}, bindings{c.Bindings})
	outer := &lateness{informers: c.Informers, all: initializers, missing: c.Missing}
	chain, err := plugins.NewFromPlugins(names, configuration, append(initializers, outer), admission.Decorators{
		admission.DecoratorFunc(admissionmetrics.WithControllerMetrics),
		sameObject{},
		hurry{plugins: byName, limit: policyTime},
		guard{plugins: byName, missing: c.Missing},
		blame{plugins: byName},
	})
	if err = errors.Join(err, outer.err); err != nil {
		return nil, err
	}
	return admissionmetrics.WithStepMetrics(chain), nil
}

// lateness gives late plugins all initializers, for when they are built.
type lateness struct {
	informers informers.SharedInformerFactory
	all       admission.PluginInitializers
	missing   func(need string) error
	err       error
}

// Initialize implements admission.PluginInitializer.
func (l *lateness) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(wantsToBeLate); ok {
		l.err = errors.Join(l.err, wants.setLate(l.informers, l.all, l.missing))
	}
}

// excluded keeps webhooks and policies away from what nobody may be locked out of.
type excluded struct{}

// Initialize implements admission.PluginInitializer.
func (excluded) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsExcludedAdmissionResources); ok {
		wants.SetExcludedAdmissionResources(admissionregistration.ExcludedResources())
	}
}

// bindings gives plugins what tells whether an instance is bound to a host.
type bindings struct{ host.Bindings }

// Initialize implements admission.PluginInitializer.
func (b bindings) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(hostrestriction.WantsBindings); ok {
		wants.SetBindings(b.Bindings)
	}
}

// ParameterInformers is a factory from which policies get informers of their parameters: it
// has those that it is told of, and says of all others that it has none, on which policies
// start informers of their own and stop them when the last policy is gone. Those of a shared
// factory would stay for ever.
type ParameterInformers struct {
	informers.SharedInformerFactory
	Known func(schema.GroupVersionResource) bool
}

// ForResource implements informers.SharedInformerFactory.
func (p ParameterInformers) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	if !p.Known(resource) {
		return nil, fmt.Errorf("no informer found for %v", resource)
	}
	return p.SharedInformerFactory.ForResource(resource)
}
