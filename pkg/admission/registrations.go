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
	"cmp"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// registered is a webhook, or a policy with one of its bindings.
type registered struct {
	// by is CONFIGURATION/WEBHOOK or POLICY/BINDING.
	by      string
	objects []*diagnostics.Object
	// all must match.
	all []criteria
	// conditions are the matchConditions of a webhook; nil for none, and for a policy, which reports its own.
	conditions *conditions
	// inert is the reason for which it is never called; empty for none.
	inert string
	// client is that of a webhook; nil for a policy.
	client *admissionregistrationv1.WebhookClientConfig
	// once is true for a mutating webhook that is not called again, and shadow for one that decides nothing.
	once, shadow bool
	// created is when the newest of its objects was created.
	created time.Time
}

// calledAs reports whether it has one of the names, which may be the address of the call.
func (r *registered) calledAs(names []string) bool {
	for _, name := range names {
		if name == r.by || strings.HasSuffix(r.by, "/"+name) {
			return true
		}
		if r.client == nil || !strings.HasPrefix(name, "https://") {
			continue
		}
		if address, err := url.Parse(name); err == nil && called(r.client, address) {
			return true
		}
	}
	return false
}

// registrations has the webhooks or the policies of a plugin, compiled when their objects change.
type registrations struct {
	stores   []cache.Store
	compile  func(all []any) []registered
	compiled atomic.Pointer[compiled]
}

type compiled struct {
	from map[any]bool
	all  []registered
	// shadow is true if one of them is in shadow.
	shadow bool
}

// current returns the webhooks or policies; nil for none.
func (r *registrations) current() *compiled {
	if r == nil {
		return nil
	}
	var objects []any
	for _, store := range r.stores {
		if listed := store.List(); len(listed) > 0 {
			objects = append(objects, listed...)
		}
	}
	if len(objects) == 0 {
		return nil
	}
	if c := r.compiled.Load(); c != nil && len(c.from) == len(objects) && !slices.ContainsFunc(objects, func(object any) bool { return !c.from[object] }) {
		return c
	}
	c := &compiled{from: make(map[any]bool, len(objects)), all: r.compile(objects)}
	for _, object := range objects {
		c.from[object] = true
	}
	c.shadow = slices.ContainsFunc(c.all, func(one registered) bool { return one.shadow })
	r.compiled.Store(c)
	return c
}

// newRegistrations returns the registrations of the enabled plugins, by name.
func newRegistrations(factory informers.SharedInformerFactory, enabled []string) map[string]*registrations {
	all := map[string]*registrations{}
	group := factory.Admissionregistration().V1()
	for _, name := range enabled {
		switch name {
		case mutatingwebhook.PluginName:
			all[name] = &registrations{stores: []cache.Store{group.MutatingWebhookConfigurations().Informer().GetStore()}, compile: compileWebhooks}
		case validatingwebhook.PluginName:
			all[name] = &registrations{stores: []cache.Store{group.ValidatingWebhookConfigurations().Informer().GetStore()}, compile: compileWebhooks}
		case mutatingpolicy.PluginName:
			all[name] = &registrations{stores: []cache.Store{group.MutatingAdmissionPolicies().Informer().GetStore(), group.MutatingAdmissionPolicyBindings().Informer().GetStore()}, compile: compilePolicies}
		case validatingpolicy.PluginName:
			all[name] = &registrations{stores: []cache.Store{group.ValidatingAdmissionPolicies().Informer().GetStore(), group.ValidatingAdmissionPolicyBindings().Informer().GetStore()}, compile: compilePolicies}
		}
	}
	return all
}

// inShadow reports whether a webhook configuration or a binding decides nothing.
func inShadow(object metav1.Object) bool {
	return object.GetAnnotations()[v1alpha1.ShadowAnnotation] == "true"
}

func objectOf(kind string, object metav1.Object) *diagnostics.Object {
	return &diagnostics.Object{Kind: kind, Name: object.GetName(), UID: string(object.GetUID()), ResourceVersion: object.GetResourceVersion()}
}

// compileWebhooks returns the webhooks in the order in which the library calls them.
func compileWebhooks(objects []any) []registered {
	slices.SortFunc(objects, func(a, b any) int { return cmp.Compare(a.(metav1.Object).GetName(), b.(metav1.Object).GetName()) })
	var all []registered
	for _, object := range objects {
		switch c := object.(type) {
		case *admissionregistrationv1.MutatingWebhookConfiguration:
			of := []*diagnostics.Object{objectOf("MutatingWebhookConfiguration", c)}
			for i := range c.Webhooks {
				w := &c.Webhooks[i]
				all = append(all, registered{
					by: c.Name + "/" + w.Name, objects: of, all: []criteria{webhookCriteria(w.Rules, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector)},
					conditions: newConditions(w.MatchConditions, w.FailurePolicy), client: &w.ClientConfig, shadow: inShadow(c), created: c.CreationTimestamp.Time,
					once: ptr.Deref(w.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy) == admissionregistrationv1.NeverReinvocationPolicy,
				})
			}
		case *admissionregistrationv1.ValidatingWebhookConfiguration:
			of := []*diagnostics.Object{objectOf("ValidatingWebhookConfiguration", c)}
			for i := range c.Webhooks {
				w := &c.Webhooks[i]
				all = append(all, registered{
					by: c.Name + "/" + w.Name, objects: of, all: []criteria{webhookCriteria(w.Rules, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector)},
					conditions: newConditions(w.MatchConditions, w.FailurePolicy), client: &w.ClientConfig, shadow: inShadow(c), created: c.CreationTimestamp.Time,
				})
			}
		}
	}
	return all
}

// policyParts are the parts of a policy or of a binding that both kinds of policies have.
type policyParts struct {
	object   *diagnostics.Object
	policy   string // of a binding; empty for a policy
	criteria criteria
	shadow   bool
	created  time.Time
}

func partsOf(object any) policyParts {
	switch p := object.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return policyParts{objectOf("ValidatingAdmissionPolicy", p), "", policyCriteria(p.Spec.MatchConstraints), false, p.CreationTimestamp.Time}
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return policyParts{objectOf("MutatingAdmissionPolicy", p), "", policyCriteria(p.Spec.MatchConstraints), false, p.CreationTimestamp.Time}
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return policyParts{objectOf("ValidatingAdmissionPolicyBinding", p), p.Spec.PolicyName, policyCriteria(p.Spec.MatchResources), inShadow(p), p.CreationTimestamp.Time}
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return policyParts{objectOf("MutatingAdmissionPolicyBinding", p), p.Spec.PolicyName, policyCriteria(p.Spec.MatchResources), false, p.CreationTimestamp.Time}
	}
	return policyParts{object: &diagnostics.Object{}, policy: "-"}
}

// compilePolicies returns an entry for each binding, and for each policy without one.
func compilePolicies(objects []any) []registered {
	policies, bound := map[string]policyParts{}, map[string]bool{}
	var bindings []policyParts
	for _, object := range objects {
		parts := partsOf(object)
		if parts.policy == "" {
			policies[parts.object.Name] = parts
			continue
		}
		bindings = append(bindings, parts)
		bound[parts.policy] = true
	}
	var all []registered
	for _, b := range bindings {
		one := registered{by: b.policy + "/" + b.object.Name, objects: []*diagnostics.Object{b.object}, shadow: b.shadow, created: b.created}
		if p, known := policies[b.policy]; known {
			one.objects = []*diagnostics.Object{p.object, b.object}
			one.all = []criteria{p.criteria, b.criteria}
			if p.created.After(one.created) {
				one.created = p.created
			}
		} else {
			one.inert = "the policy of the binding does not exist"
		}
		all = append(all, one)
	}
	for name, p := range policies {
		if !bound[name] {
			all = append(all, registered{by: name, objects: []*diagnostics.Object{p.object}, inert: "no binding names the policy", created: p.created})
		}
	}
	slices.SortFunc(all, func(a, b registered) int { return cmp.Compare(a.by, b.by) })
	return all
}
