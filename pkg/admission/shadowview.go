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
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/admissionregistration"
	informersv1 "k8s.io/client-go/informers/admissionregistration/v1"
	listersv1 "k8s.io/client-go/listers/admissionregistration/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// shadowView shows a plugin of the library either the webhook configurations and bindings in shadow, or all
// others.
type shadowView struct {
	informers.SharedInformerFactory
	shadow bool
}

// Initialize implements admission.PluginInitializer. It must come after the initializer that sets the
// factory of every plugin.
func (v shadowView) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsExternalKubeInformerFactory); ok {
		wants.SetExternalKubeInformerFactory(v)
	}
}

// Admissionregistration implements informers.SharedInformerFactory.
func (v shadowView) Admissionregistration() admissionregistration.Interface {
	return shadowGroup{v.SharedInformerFactory.Admissionregistration(), v.shadow}
}

type shadowGroup struct {
	admissionregistration.Interface
	shadow bool
}

// V1 implements admissionregistration.Interface.
func (g shadowGroup) V1() informersv1.Interface { return shadowVersion{g.Interface.V1(), g.shadow} }

type shadowVersion struct {
	informersv1.Interface
	shadow bool
}

// MutatingWebhookConfigurations implements the library's interface.
func (v shadowVersion) MutatingWebhookConfigurations() informersv1.TypedMutatingWebhookConfigurationInformer {
	return shadowMutating{v.Interface.MutatingWebhookConfigurations(), v.shadow}
}

// ValidatingWebhookConfigurations implements the library's interface.
func (v shadowVersion) ValidatingWebhookConfigurations() informersv1.TypedValidatingWebhookConfigurationInformer {
	return shadowValidating{v.Interface.ValidatingWebhookConfigurations(), v.shadow}
}

// ValidatingAdmissionPolicyBindings implements the library's interface.
func (v shadowVersion) ValidatingAdmissionPolicyBindings() informersv1.TypedValidatingAdmissionPolicyBindingInformer {
	return shadowBindings{v.Interface.ValidatingAdmissionPolicyBindings(), v.shadow}
}

type shadowMutating struct {
	informersv1.TypedMutatingWebhookConfigurationInformer
	shadow bool
}

// Lister implements the library's interface.
func (s shadowMutating) Lister() listersv1.MutatingWebhookConfigurationLister {
	return shadowMutatingLister{s.TypedMutatingWebhookConfigurationInformer.Lister(), s.shadow}
}

type shadowMutatingLister struct {
	listersv1.MutatingWebhookConfigurationLister
	shadow bool
}

// List implements the library's interface. In shadow, the failure of one webhook does not keep the next one
// from being asked.
func (l shadowMutatingLister) List(selector labels.Selector) ([]*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	all, err := l.MutatingWebhookConfigurationLister.List(selector)
	return shown(all, l.shadow, func(c *admissionregistrationv1.MutatingWebhookConfiguration) *admissionregistrationv1.MutatingWebhookConfiguration {
		c = c.DeepCopy()
		for i := range c.Webhooks {
			c.Webhooks[i].FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
		}
		return c
	}), err
}

type shadowValidating struct {
	informersv1.TypedValidatingWebhookConfigurationInformer
	shadow bool
}

// Lister implements the library's interface.
func (s shadowValidating) Lister() listersv1.ValidatingWebhookConfigurationLister {
	return shadowValidatingLister{s.TypedValidatingWebhookConfigurationInformer.Lister(), s.shadow}
}

type shadowValidatingLister struct {
	listersv1.ValidatingWebhookConfigurationLister
	shadow bool
}

// List implements the library's interface.
func (l shadowValidatingLister) List(selector labels.Selector) ([]*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	all, err := l.ValidatingWebhookConfigurationLister.List(selector)
	return shown(all, l.shadow, func(c *admissionregistrationv1.ValidatingWebhookConfiguration) *admissionregistrationv1.ValidatingWebhookConfiguration {
		c = c.DeepCopy()
		for i := range c.Webhooks {
			c.Webhooks[i].FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
		}
		return c
	}), err
}

// shown returns the objects in shadow, each as a copy from prepare, or the others.
func shown[T metav1.Object](all []T, shadow bool, prepare func(T) T) []T {
	var visible []T
	for _, object := range all {
		switch {
		case inShadow(object) != shadow:
		case shadow:
			visible = append(visible, prepare(object))
		default:
			visible = append(visible, object)
		}
	}
	return visible
}

type shadowBindings struct {
	informersv1.TypedValidatingAdmissionPolicyBindingInformer
	shadow bool
}

// Informer implements the library's interface.
func (s shadowBindings) Informer() cache.SharedIndexInformer {
	return shadowInformer{s.TypedValidatingAdmissionPolicyBindingInformer.Informer(), s.shadow}
}

// TypedInformer implements the library's interface.
func (s shadowBindings) TypedInformer() informersv1.ValidatingAdmissionPolicyBindingIndexInformer {
	return cache.NewTypedSharedIndexInformer[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](s.Informer())
}

// shadowInformer shows only a part of the objects in lists. Its handlers get the events of all of them, on which
// the library lists.
type shadowInformer struct {
	cache.SharedIndexInformer
	shadow bool
}

// GetIndexer implements cache.SharedIndexInformer.
func (s shadowInformer) GetIndexer() cache.Indexer {
	return shadowIndexer{s.SharedIndexInformer.GetIndexer(), s.shadow}
}

type shadowIndexer struct {
	cache.Indexer
	shadow bool
}

// List implements cache.Indexer. The action Audit makes the library report the failures of each binding.
func (s shadowIndexer) List() []any {
	var bindings []*admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, object := range s.Indexer.List() {
		if binding, ok := object.(*admissionregistrationv1.ValidatingAdmissionPolicyBinding); ok {
			bindings = append(bindings, binding)
		}
	}
	var all []any
	for _, binding := range shown(bindings, s.shadow, func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) *admissionregistrationv1.ValidatingAdmissionPolicyBinding {
		b = b.DeepCopy()
		b.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit}
		return b
	}) {
		all = append(all, binding)
	}
	return all
}
