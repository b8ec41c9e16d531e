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
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	policyconfig "k8s.io/apiserver/pkg/admission/plugin/policy/config"
	webhookconfig "k8s.io/apiserver/pkg/admission/plugin/webhook/config"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// lazyPlugin builds a plugin of the library when it is needed: for the first webhook
// configuration, or the first binding of a policy. Building the webhook plugins prepares CEL, which
// takes as long as the rest of the server's start; the policy plugins run two goroutines
// permanently. A server without webhooks and policies has neither cost.
type lazyPlugin struct {
	*admission.Handler
	name    string
	library *admission.Plugins
	config  []byte // nil for none

	initialize admission.PluginInitializer
	missing    func(need string) error
	triggers   informers.GenericInformer
	build      func() (admission.Interface, error)
	// harmless has the webhooks that reviews call; nil for policies.
	harmless *harmlessHooks
}

// kind wraps the plugin as a mutating or as a validating one.
type kind func(*lazyPlugin) admission.Interface

func mutating(l *lazyPlugin) admission.Interface   { return &lazyMutation{l} }
func validating(l *lazyPlugin) admission.Interface { return &lazyValidation{l} }

type lazyMutation struct{ *lazyPlugin }
type lazyValidation struct{ *lazyPlugin }

var (
	_ admission.MutationInterface       = &lazyMutation{}
	_ admission.ValidationInterface     = &lazyValidation{}
	_ admission.InitializationValidator = &lazyPlugin{}
)

// registerLazily returns a function that registers a lazy plugin under its name.
func registerLazily(name string, register func(*admission.Plugins), check func(io.Reader) error, wrap kind, operations ...admission.Operation) func(*admission.Plugins) {
	return func(plugins *admission.Plugins) {
		plugins.Register(name, func(config io.Reader) (admission.Interface, error) {
			l := &lazyPlugin{Handler: admission.NewHandler(operations...), name: name, library: admission.NewPlugins()}
			register(l.library)
			if config != nil {
				content, err := io.ReadAll(config)
				if err != nil {
					return nil, err
				}
				l.config = content
			}
			// Errors of the configuration end the start.
			if err := check(l.reader()); err != nil {
				return nil, fmt.Errorf("configuration of %s: %w", name, err)
			}
			return wrap(l), nil
		})
	}
}

func (l *lazyPlugin) reader() io.Reader {
	if l.config == nil {
		return nil
	}
	return bytes.NewReader(l.config)
}

// wantsLazyInitialization is implemented by lazy plugins for lazyInitializer.
type wantsLazyInitialization interface {
	setLazy(informers.SharedInformerFactory, admission.PluginInitializer, func(need string) error) error
}

// setLazy registers the informers now, so that they are started with the others.
func (l *lazyPlugin) setLazy(factory informers.SharedInformerFactory, initialize admission.PluginInitializer, missing func(string) error) error {
	l.initialize, l.missing = initialize, missing
	l.build = sync.OnceValues(func() (admission.Interface, error) {
		return l.library.InitPlugin(l.name, l.reader(), l.initialize)
	})
	switch l.name {
	case mutatingwebhook.PluginName:
		l.harmless = newHarmlessHooks(l, diagnostics.MutatingAdmission)
	case validatingwebhook.PluginName:
		l.harmless = newHarmlessHooks(l, diagnostics.ValidatingAdmission)
	}
	all := []cache.SharedIndexInformer{factory.Core().V1().Namespaces().Informer()}
	for _, plugin := range Plugins() {
		if plugin.Name != l.name {
			continue
		}
		for _, read := range plugin.Reads {
			for _, resource := range read.Resources {
				generic, err := factory.ForResource(resource)
				if err != nil {
					return err
				}
				// The last one triggers the plugin: a policy without a binding has no effect.
				l.triggers = generic
				all = append(all, generic.Informer())
			}
		}
	}
	last := all[len(all)-1]
	l.SetReadyFunc(last.HasSynced)
	// The plugin is built at once, so that the first write does not wait for it.
	_, err := last.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { go func() { _, _ = l.build() }() }})
	return err
}

// ValidateInitialization implements admission.InitializationValidator.
func (l *lazyPlugin) ValidateInitialization() error {
	if l.build == nil || l.triggers == nil {
		return fmt.Errorf("%s needs informers of its triggers", l.name)
	}
	return nil
}

// plugin returns the library's plugin; nil if there is no trigger.
func (l *lazyPlugin) plugin(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) (admission.Interface, error) {
	if !l.WaitForReady() {
		return nil, admission.NewForbidden(a, errNotYetReady)
	}
	all, err := l.triggers.Lister().List(labels.Everything())
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if len(all) == 0 {
		return nil, nil
	}
	// Namespace selectors match the labels of the object's namespace.
	if l.missing != nil && a.GetNamespace() != "" {
		if err := l.missing(NeedNamespaces); err != nil {
			return nil, cannotDecide(l.name, err)
		}
	}
	if l.harmless != nil && diagnostics.From(ctx).Reviewed() {
		return l.harmless.plugin(ctx, l, a, o)
	}
	plugin, err := l.build()
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return plugin, nil
}

// Admit implements admission.MutationInterface.
func (l *lazyMutation) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, err := l.plugin(ctx, a, o)
	if err != nil || plugin == nil || !plugin.Handles(a.GetOperation()) {
		return err
	}
	return plugin.(admission.MutationInterface).Admit(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (l *lazyValidation) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, err := l.plugin(ctx, a, o)
	if err != nil || plugin == nil || !plugin.Handles(a.GetOperation()) {
		return err
	}
	return plugin.(admission.ValidationInterface).Validate(ctx, a, o)
}

// errManifests refuses a feature of kube-apiserver that reads webhooks and policies from a
// directory.
var errManifests = fmt.Errorf("staticManifestsDir is not supported: create the objects instead, with kubectl apply")

// checkWebhooks validates a WebhookAdmissionConfiguration.
func checkWebhooks(config io.Reader) error {
	c, err := webhookconfig.LoadConfig(config)
	if err != nil {
		return err
	}
	if c.StaticManifestsDir != "" {
		return errManifests
	}
	_, err = webhook.NewDefaultAuthenticationInfoResolver(c.KubeConfigFile)
	return err
}

// checkMutatingPolicies validates a MutatingAdmissionPolicyConfiguration.
func checkMutatingPolicies(config io.Reader) error {
	c, err := policyconfig.LoadMutatingConfig(config)
	if err == nil && c.StaticManifestsDir != "" {
		err = errManifests
	}
	return err
}

// checkValidatingPolicies validates a ValidatingAdmissionPolicyConfiguration.
func checkValidatingPolicies(config io.Reader) error {
	c, err := policyconfig.LoadValidatingConfig(config)
	if err == nil && c.StaticManifestsDir != "" {
		err = errManifests
	}
	return err
}
