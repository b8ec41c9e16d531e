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
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// late is a plugin of the library that is built when there is something for it to do: the
// first webhook configuration, or the first binding of a policy. Building those of webhooks
// prepares CEL, which takes as long as the rest of the server's start; those of policies
// have two loops that never rest. Whoever has neither webhooks nor policies pays for neither.
type late struct {
	*admission.Handler
	name    string
	library *admission.Plugins
	config  []byte // nil for none

	initialize admission.PluginInitializer
	missing    func(need string) error
	triggers   informers.GenericInformer
	build      func() (admission.Interface, error)
}

// kind tells mutating from validating plugins.
type kind func(*late) admission.Interface

func mutating(l *late) admission.Interface   { return &lateMutation{l} }
func validating(l *late) admission.Interface { return &lateValidation{l} }

type lateMutation struct{ *late }
type lateValidation struct{ *late }

var (
	_ admission.MutationInterface       = &lateMutation{}
	_ admission.ValidationInterface     = &lateValidation{}
	_ admission.InitializationValidator = &late{}
)

// deferred registers such a plugin under its own name.
func deferred(name string, register func(*admission.Plugins), check func(io.Reader) error, of kind, operations ...admission.Operation) func(*admission.Plugins) {
	return func(plugins *admission.Plugins) {
		plugins.Register(name, func(config io.Reader) (admission.Interface, error) {
			l := &late{Handler: admission.NewHandler(operations...), name: name, library: admission.NewPlugins()}
			register(l.library)
			if config != nil {
				content, err := io.ReadAll(config)
				if err != nil {
					return nil, err
				}
				l.config = content
			}
			// What is wrong with the configuration is said at the start.
			if err := check(l.reader()); err != nil {
				return nil, fmt.Errorf("configuration of %s: %w", name, err)
			}
			return of(l), nil
		})
	}
}

func (l *late) reader() io.Reader {
	if l.config == nil {
		return nil
	}
	return bytes.NewReader(l.config)
}

// wantsToBeLate is what initializers give to it.
type wantsToBeLate interface {
	setLate(informers.SharedInformerFactory, admission.PluginInitializer, func(need string) error) error
}

// setLate asks for the informers now, so that they are started with the others.
func (l *late) setLate(factory informers.SharedInformerFactory, initialize admission.PluginInitializer, missing func(string) error) error {
	l.initialize, l.missing = initialize, missing
	l.build = sync.OnceValues(func() (admission.Interface, error) {
		return l.library.InitPlugin(l.name, l.reader(), l.initialize)
	})
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
				// The last is what makes the plugin act: a policy without a binding does nothing.
				l.triggers = generic
				all = append(all, generic.Informer())
			}
		}
	}
	last := all[len(all)-1]
	l.SetReadyFunc(last.HasSynced)
	// The first write should not be the one that waits.
	_, err := last.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { go func() { _, _ = l.build() }() }})
	return err
}

// ValidateInitialization implements admission.InitializationValidator.
func (l *late) ValidateInitialization() error {
	if l.build == nil || l.triggers == nil {
		return fmt.Errorf("%s was not told what to read", l.name)
	}
	return nil
}

// plugin is the one that decides; nil where there is nothing to decide about.
func (l *late) plugin(a admission.Attributes) (admission.Interface, error) {
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
	// Selectors look at the object's namespace.
	if l.missing != nil && a.GetNamespace() != "" {
		if err := l.missing(NeedNamespaces); err != nil {
			return nil, cannotDecide(l.name, err)
		}
	}
	plugin, err := l.build()
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return plugin, nil
}

// Admit implements admission.MutationInterface.
func (l *lateMutation) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, err := l.plugin(a)
	if err != nil || plugin == nil || !plugin.Handles(a.GetOperation()) {
		return err
	}
	return plugin.(admission.MutationInterface).Admit(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (l *lateValidation) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, err := l.plugin(a)
	if err != nil || plugin == nil || !plugin.Handles(a.GetOperation()) {
		return err
	}
	return plugin.(admission.ValidationInterface).Validate(ctx, a, o)
}

// errManifests is about a feature of kube-apiserver that reads webhooks and policies from a
// directory, before anybody has written one.
var errManifests = fmt.Errorf("staticManifestsDir is not supported: create the objects instead, with kubectl apply")

// checkWebhooks is the check of a WebhookAdmissionConfiguration.
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

// checkMutatingPolicies is the check of a MutatingAdmissionPolicyConfiguration.
func checkMutatingPolicies(config io.Reader) error {
	c, err := policyconfig.LoadMutatingConfig(config)
	if err == nil && c.StaticManifestsDir != "" {
		err = errManifests
	}
	return err
}

// checkValidatingPolicies is the check of a ValidatingAdmissionPolicyConfiguration.
func checkValidatingPolicies(config io.Reader) error {
	c, err := policyconfig.LoadValidatingConfig(config)
	if err == nil && c.StaticManifestsDir != "" {
		err = errManifests
	}
	return err
}
