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
	"fmt"
	"sync"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/admissionregistration"
	registrationinformers "k8s.io/client-go/informers/admissionregistration/v1"
	listers "k8s.io/client-go/listers/admissionregistration/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// harmlessHooks is a webhook plugin for reviews: it has the webhooks that a dry run may call. The library
// refuses a dry run for the first webhook that has side effects, and a review leaves that one out and names
// it. The API accepts no new ones, but old configurations may have them.
type harmlessHooks struct {
	gate  diagnostics.Gate
	build func() (admission.Interface, error)
}

// newHarmlessHooks returns the plugin of the same configuration as the lazy one.
func newHarmlessHooks(l *lazyPlugin, gate diagnostics.Gate) *harmlessHooks {
	return &harmlessHooks{gate: gate, build: sync.OnceValues(func() (admission.Interface, error) {
		return l.library.InitPlugin(l.name, l.reader(), admission.PluginInitializers{l.initialize, harmlessInformers{l.initialize}})
	})}
}

// plugin returns the library's plugin, and records which webhooks would be called and are not.
func (h *harmlessHooks) plugin(ctx context.Context, l *lazyPlugin, a admission.Attributes, o admission.ObjectInterfaces) (admission.Interface, error) {
	plugin, err := h.build()
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	all, err := l.triggers.Lister().List(labels.Everything())
	matcher, ok := plugin.(hookMatcher)
	if err != nil || !ok || !plugin.Handles(a.GetOperation()) || !l.WaitForReady() {
		return plugin, nil
	}
	record := diagnostics.From(ctx)
	for _, object := range all {
		for _, hook := range harmfulHooks(object) {
			invocation, status := matcher.ShouldCallHook(ctx, hook.WebhookAccessor, a, o, &versionedAttributes{attributes: a, objects: o})
			if invocation != nil || status != nil {
				record.Add(diagnostics.Stop{
					Gate: h.gate, Verdict: diagnostics.Skipped, By: hook.GetConfigurationName() + "/" + hook.GetName(),
					Reason: fmt.Sprintf("its sideEffects are %s, and a review calls no webhook that has some", hook.sideEffects),
				})
			}
		}
	}
	return plugin, nil
}

// hookMatcher is implemented by both webhook plugins of the library.
type hookMatcher interface {
	ShouldCallHook(context.Context, webhook.WebhookAccessor, admission.Attributes, admission.ObjectInterfaces, generic.VersionedAttributeAccessor) (*generic.WebhookInvocation, *apierrors.StatusError)
}

// versionedAttributes converts the object for conditions.
type versionedAttributes struct {
	attributes admission.Attributes
	objects    admission.ObjectInterfaces
}

// VersionedAttribute implements generic.VersionedAttributeAccessor.
func (v *versionedAttributes) VersionedAttribute(kind schema.GroupVersionKind) (*admission.VersionedAttributes, error) {
	return admission.NewVersionedAttributes(v.attributes, kind, v.objects)
}

func harmless(effects *registrationv1.SideEffectClass) bool {
	return effects != nil && (*effects == registrationv1.SideEffectClassNone || *effects == registrationv1.SideEffectClassNoneOnDryRun)
}

// harmfulHook is a webhook with side effects.
type harmfulHook struct {
	webhook.WebhookAccessor
	sideEffects string
}

func harmfulHooks(configuration any) []harmfulHook {
	var found []harmfulHook
	text := func(effects *registrationv1.SideEffectClass) string {
		if effects == nil {
			return "not declared"
		}
		return string(*effects)
	}
	switch c := configuration.(type) {
	case *registrationv1.MutatingWebhookConfiguration:
		for i := range c.Webhooks {
			if hook := &c.Webhooks[i]; !harmless(hook.SideEffects) {
				found = append(found, harmfulHook{webhook.NewMutatingWebhookAccessor(hook.Name, c.Name, hook), text(hook.SideEffects)})
			}
		}
	case *registrationv1.ValidatingWebhookConfiguration:
		for i := range c.Webhooks {
			if hook := &c.Webhooks[i]; !harmless(hook.SideEffects) {
				found = append(found, harmfulHook{webhook.NewValidatingWebhookAccessor(hook.Name, c.Name, hook), text(hook.SideEffects)})
			}
		}
	}
	return found
}

// harmlessInformers gives a plugin the informers that it has from another initializer, with webhook
// configurations that are without the webhooks that have side effects.
type harmlessInformers struct{ all admission.PluginInitializer }

// Initialize implements admission.PluginInitializer.
func (h harmlessInformers) Initialize(plugin admission.Interface) {
	found := &givenInformers{}
	h.all.Initialize(found)
	if wants, ok := plugin.(initializer.WantsExternalKubeInformerFactory); ok && found.factory != nil {
		wants.SetExternalKubeInformerFactory(harmlessFactory{found.factory})
	}
}

// givenInformers remembers the informers that an initializer gives to plugins.
type givenInformers struct {
	admission.Interface
	factory informers.SharedInformerFactory
}

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (g *givenInformers) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	g.factory = factory
}

// ValidateInitialization implements admission.InitializationValidator.
func (*givenInformers) ValidateInitialization() error { return nil }

type (
	harmlessFactory struct {
		informers.SharedInformerFactory
	}
	harmlessGroup struct {
		admissionregistration.Interface
	}
	harmlessVersion struct {
		registrationinformers.Interface
	}
	harmlessMutating struct {
		registrationinformers.TypedMutatingWebhookConfigurationInformer
	}
	harmlessValidating struct {
		registrationinformers.TypedValidatingWebhookConfigurationInformer
	}
	harmlessMutatingLister struct {
		listers.MutatingWebhookConfigurationLister
	}
	harmlessValidatingLister struct {
		listers.ValidatingWebhookConfigurationLister
	}
)

// Admissionregistration implements informers.SharedInformerFactory.
func (f harmlessFactory) Admissionregistration() admissionregistration.Interface {
	return harmlessGroup{f.SharedInformerFactory.Admissionregistration()}
}

// V1 implements admissionregistration.Interface.
func (g harmlessGroup) V1() registrationinformers.Interface { return harmlessVersion{g.Interface.V1()} }

// MutatingWebhookConfigurations implements the interface of the version.
func (v harmlessVersion) MutatingWebhookConfigurations() registrationinformers.TypedMutatingWebhookConfigurationInformer {
	return harmlessMutating{v.Interface.MutatingWebhookConfigurations()}
}

// ValidatingWebhookConfigurations implements the interface of the version.
func (v harmlessVersion) ValidatingWebhookConfigurations() registrationinformers.TypedValidatingWebhookConfigurationInformer {
	return harmlessValidating{v.Interface.ValidatingWebhookConfigurations()}
}

// Lister implements the interface of the informer.
func (m harmlessMutating) Lister() listers.MutatingWebhookConfigurationLister {
	return harmlessMutatingLister{m.TypedMutatingWebhookConfigurationInformer.Lister()}
}

// Lister implements the interface of the informer.
func (v harmlessValidating) Lister() listers.ValidatingWebhookConfigurationLister {
	return harmlessValidatingLister{v.TypedValidatingWebhookConfigurationInformer.Lister()}
}

// List returns copies without the webhooks that have side effects.
func (l harmlessMutatingLister) List(selector labels.Selector) ([]*registrationv1.MutatingWebhookConfiguration, error) {
	all, err := l.MutatingWebhookConfigurationLister.List(selector)
	kept := make([]*registrationv1.MutatingWebhookConfiguration, 0, len(all))
	for _, one := range all {
		copied := *one
		copied.Webhooks = nil
		for i := range one.Webhooks {
			if harmless(one.Webhooks[i].SideEffects) {
				copied.Webhooks = append(copied.Webhooks, one.Webhooks[i])
			}
		}
		kept = append(kept, &copied)
	}
	return kept, err
}

// List returns copies without the webhooks that have side effects.
func (l harmlessValidatingLister) List(selector labels.Selector) ([]*registrationv1.ValidatingWebhookConfiguration, error) {
	all, err := l.ValidatingWebhookConfigurationLister.List(selector)
	kept := make([]*registrationv1.ValidatingWebhookConfiguration, 0, len(all))
	for _, one := range all {
		copied := *one
		copied.Webhooks = nil
		for i := range one.Webhooks {
			if harmless(one.Webhooks[i].SideEffects) {
				copied.Webhooks = append(copied.Webhooks, one.Webhooks[i])
			}
		}
		kept = append(kept, &copied)
	}
	return kept, err
}
