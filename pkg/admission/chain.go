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
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	webhookinitializer "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/transport"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
)

// Config holds the inputs of the chain.
type Config struct {
	// Enabled are the plugins that run; their order is that of Plugins, not of this list.
	Enabled []string
	// Configuration is the content of --admission-control-config-file; nil for none.
	Configuration admission.ConfigProvider
	// Initializers inject the library's dependencies: clients, informers, the authorizer.
	Initializers admission.PluginInitializers
	// Informers read the objects that plugins need: the cluster's, or the server's own.
	Informers informers.SharedInformerFactory
	// Services resolves the service of a webhook's clientConfig.
	Services webhook.ServiceResolver
	// Parameters reports for which resources the informers serve as those of a policy's parameters; nil for
	// all that they have.
	Parameters func(schema.GroupVersionResource) bool
	// Trace traces the requests to webhooks; nil for none.
	Trace transport.WrapperFunc
	// BoundInstances reports whether an instance is bound to a host.
	BoundInstances host.BoundInstances
	// Missing returns an error of one sentence if a preflight need is not met. The function itself
	// is nil in the standalone mode, which has no cluster.
	Missing func(need string) error
}

// New builds the chain. The informers that it registers must be started afterwards.
func New(c Config) (admission.Interface, error) {
	if c.Services == nil {
		return nil, errors.New("the admission chain needs a resolver for the services of webhooks")
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
	// The wrapper adds no credentials: the server sends webhooks none of its own.
	all := newRegistrations(c.Informers, names)
	observers := newObservers(c.Informers, all)
	initializers = append(initializers, c.webhooks(func(rt http.RoundTripper) http.RoundTripper {
		return &tracedTransport{rt, newWebhookNames(all, false)}
	}), excluded{}, boundInstances{c.BoundInstances})
	roles := plays{map[string]bool{}, map[string]bool{}}
	outer := &lazyInitializer{informers: c.Informers, all: append(slices.Clone(initializers), c.view(false)), missing: c.Missing}
	shadows := c.shadows(observers, configuration, all)
	chain, err := plugins.NewFromPlugins(names, configuration, append(initializers, outer), admission.Decorators{
		roles,
		admission.DecoratorFunc(admissionmetrics.WithControllerMetrics),
		sameObject{},
		policyTimeout{plugins: byName, limit: policyTime},
		dependencyGuard{plugins: byName, missing: c.Missing},
		refusalDecorator{plugins: byName},
		shadows,
		traceDecorator{plugins: byName, plays: roles, observers: observers},
	})
	if err = errors.Join(err, outer.err); err != nil {
		return nil, err
	}
	return &tracedChain{admissionmetrics.WithStepMetrics(chain)}, nil
}

// webhooks returns the initializer of the clients of webhooks.
func (c *Config) webhooks(wrap transport.WrapperFunc) admission.PluginInitializer {
	return webhookinitializer.NewPluginInitializer(webhookClients(wrap, c.Trace), c.Services)
}

// view returns the informers without webhooks and bindings in shadow, or with only those, as an initializer.
func (c *Config) view(shadow bool) shadowView {
	factory := c.Informers
	if c.Parameters != nil {
		factory = ParameterInformers{SharedInformerFactory: factory, Known: c.Parameters}
	}
	return shadowView{factory, shadow}
}

// shadows returns what asks in shadow, by the names of the plugins.
func (c *Config) shadows(observers map[string]*observer, configuration admission.ConfigProvider, all map[string]*registrations) shadowDecorator {
	registerShadowMetrics()
	initializers := append(admission.PluginInitializers{}, c.Initializers...)
	initializers = append(initializers, c.webhooks(func(rt http.RoundTripper) http.RoundTripper {
		return &shadowTransport{rt, newWebhookNames(all, true)}
	}), excluded{}, c.view(true))
	shadows := shadowDecorator{}
	for name, register := range shadowRegisters() {
		if observers[name] == nil {
			continue
		}
		shadows[name] = newShadow(observers[name], func() (admission.Interface, error) {
			config, err := configuration.ConfigFor(name)
			if err != nil {
				return nil, err
			}
			library := admission.NewPlugins()
			register(library)
			return library.InitPlugin(name, config, initializers)
		})
	}
	return shadows
}

// lazyInitializer passes all initializers to lazy plugins, which apply them when they are built.
type lazyInitializer struct {
	informers informers.SharedInformerFactory
	all       admission.PluginInitializers
	missing   func(need string) error
	err       error
}

// Initialize implements admission.PluginInitializer.
func (l *lazyInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(wantsLazyInitialization); ok {
		l.err = errors.Join(l.err, wants.setLazy(l.informers, l.all, l.missing))
	}
}

// reviewsOfRequests contain the object of another request: webhooks get that as the object of its own.
var reviewsOfRequests = diagnostics.Resource(diagnosticsv1alpha1.RequestReviews)

// excluded excludes resources from webhooks and policies, so that a broken one can be repaired.
type excluded struct{}

// Initialize implements admission.PluginInitializer.
func (excluded) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsExcludedAdmissionResources); ok {
		wants.SetExcludedAdmissionResources(append(admissionregistration.ExcludedResources(), reviewsOfRequests))
	}
}

// boundInstances injects the lookup of the hosts to which instances are bound.
type boundInstances struct{ host.BoundInstances }

// Initialize implements admission.PluginInitializer.
func (b boundInstances) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(hostrestriction.WantsBoundInstances); ok {
		wants.SetBoundInstances(b.BoundInstances)
	}
}

// ParameterInformers is a factory of informers for the parameters of policies. It returns an error
// for every resource that is not Known: policies then start their own informer and stop it when
// the last policy is deleted. Informers of a shared factory are never stopped.
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
