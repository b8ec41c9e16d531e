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
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/alwayspullimages"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/eventratelimit"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hosttaints"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/ownerreferences"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// Plugin is one entry of the chain.
type Plugin struct {
	// Name is what flags and messages call it.
	Name string
	// Register adds its factory.
	Register func(*admission.Plugins)
	// Why it stands in the chain, and where.
	Why string
	// Cure is what to do about its refusals, where they do not say so themselves: the end of
	// a sentence that names the plugin.
	Cure string
	// Foreign plugins hand on what programs outside of the server say: it is cut to a size.
	Foreign bool
	// Expressions plugins run expressions that users wrote: their time is bounded.
	Expressions bool
	// DefaultOff plugins run only where they are asked for.
	DefaultOff bool
	// Reads are what the plugin reads in a cluster.
	Reads []Read
}

// Read is something of a cluster without which a plugin cannot decide.
type Read struct {
	// Need is the name of the preflight need.
	Need string
	// Resources are all that belong to it.
	Resources []schema.GroupVersionResource
	// Live says that single objects are looked up, too, besides being listed and watched.
	Live bool
	// Without is what an administrator reads about what does not work.
	Without string
	// Newer says that there are clusters that do not serve it: without it the plugin is off.
	Newer bool
	// For are the operations on which the plugin needs it, and Namespaced and About limit
	// them to objects in namespaces and to a resource.
	For        []admission.Operation
	Namespaced bool
	About      schema.GroupResource
}

// NeedOf is the name of the preflight need of one of several resources.
func (r Read) NeedOf(resource schema.GroupVersionResource) string {
	if len(r.Resources) == 1 {
		return r.Need
	}
	return r.Need + "-" + resource.Resource
}

// NeedNamespaces is the preflight need of plugins that read namespaces, and NeedQuotas of
// the one that reads resource quotas.
const (
	NeedNamespaces = "namespaces"
	NeedQuotas     = "resource-quotas"
)

// Plugins is the chain, in order. This list is the only place that orders plugins. The
// mutating halves of all of them run first, in this order, and after validation the
// validating halves.
func Plugins() []Plugin {
	// There is nothing in a deletion that could be changed.
	changes := []admission.Operation{admission.Create, admission.Update, admission.Connect}
	writes := append(slices.Clone(changes), admission.Delete)
	webhooks := func(resource string) Read {
		return Read{
			Need: resource, Resources: registration(resource), For: writes,
			Without: "nothing can be written, because nobody knows which webhooks would have to be asked",
		}
	}
	policies := func(need string, operations []admission.Operation, resources ...string) Read {
		return Read{
			Need: need, Resources: registration(resources...), For: operations, Newer: true,
			Without: "nothing can be written, because nobody knows which policies would have to be asked",
		}
	}
	return []Plugin{{
		Name:     lifecycle.PluginName,
		Register: lifecycle.Register,
		Why:      "first, because nothing else matters for an object whose namespace does not exist or goes away",
		Cure:     "name a namespace that exists and is not going away; the ones of the system stay",
		Reads: []Read{{
			Need: NeedNamespaces, Resources: []schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("namespaces")}, Live: true,
			Without: "objects in namespaces cannot be created",
			For:     []admission.Operation{admission.Create}, Namespaced: true,
		}},
	}, {
		Name:     serviceaccount.PluginName,
		Register: serviceaccount.Register,
		Why:      "before all who look at instances, so that they see whom each acts as",
		Reads: []Read{{
			Need: "service-accounts", Resources: []schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("serviceaccounts")}, Live: true,
			Without: "instances cannot be created",
			For:     []admission.Operation{admission.Create}, Namespaced: true, About: fleet.Resource("instances"),
		}},
	}, {
		Name:     hostrestriction.PluginName,
		Register: hostrestriction.Register,
		Why:      "before all that costs more: what a host may not write, nobody else need look at",
		Cure:     "let the host's agent write only what docs/hosts.md lists",
	}, {
		Name:     hosttaints.PluginName,
		Register: hosttaints.Register,
		Why:      "before policies and webhooks, which may be about taints; HostRestriction, which looks after all changes, lets this taint pass",
	}, {
		Name:       alwayspullimages.PluginName,
		Register:   alwayspullimages.Register,
		Why:        "the last of ours that changes something, so that none of ours adds a container after it; off, because it costs a fetch at every start",
		DefaultOff: true,
	}, {
		Name:     eventratelimit.PluginName,
		Register: eventratelimit.Register,
		Why:      "before all that costs more, and before the quota, whose charge is a write: an event too many must not cost one",
		Cure:     "write fewer events, or raise the limits of the plugin in --admission-control-config-file",
	}, {
		Name:     ownerreferences.PluginName,
		Register: ownerreferences.Register,
		Why:      "it only validates, so owners that a webhook adds count, too; before policies and webhooks, which cost more; on, unlike in Kubernetes, because without it the right to create an object is one to hold up the deletion of others",
	}, {
		Name:        mutatingpolicy.PluginName,
		Register:    deferred(mutatingpolicy.PluginName, mutatingpolicy.Register, checkMutatingPolicies, mutating, changes...),
		Why:         "after our own plugins, so that policies see what those filled in, and before webhooks, because what is decided in this process costs less than a call",
		Cure:        "change the object, or the policy and its binding",
		Expressions: true,
		Reads:       []Read{policies("mutating-policies", changes, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")},
	}, {
		Name:     mutatingwebhook.PluginName,
		Register: deferred(mutatingwebhook.PluginName, mutatingwebhook.Register, checkWebhooks, mutating, writes...),
		Why:      "last of those that change: webhooks belong to the users, and get the object as we would store it",
		Cure:     "change the object, or the MutatingWebhookConfiguration",
		Foreign:  true,
		Reads:    []Read{webhooks("mutatingwebhookconfigurations")},
	}, {
		Name:        validatingpolicy.PluginName,
		Register:    deferred(validatingpolicy.PluginName, validatingpolicy.Register, checkValidatingPolicies, validating, writes...),
		Why:         "after every change and after validation, so that what it has seen is what is stored; before webhooks for its price",
		Cure:        "change the object, or the policy and its binding",
		Expressions: true,
		Reads:       []Read{policies("validating-policies", writes, "validatingadmissionpolicies", "validatingadmissionpolicybindings")},
	}, {
		Name:     validatingwebhook.PluginName,
		Register: deferred(validatingwebhook.PluginName, validatingwebhook.Register, checkWebhooks, validating, writes...),
		Why:      "after all that costs less, because each of them is a call over the network",
		Cure:     "change the object, or the ValidatingWebhookConfiguration",
		Foreign:  true,
		Reads:    []Read{webhooks("validatingwebhookconfigurations")},
	}, {
		Name:     resourcequota.PluginName,
		Register: resourcequota.Register,
		Why:      "last, and nothing after it: it charges what is about to be stored, and who was refused by a plugin behind it would have paid for nothing",
		Cure:     "use less, set what is missing, or have spec.hard of the quota raised",
		Reads: []Read{{
			Need: NeedQuotas, Resources: []schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("resourcequotas")}, Live: true,
			Without: "objects in namespaces cannot be created",
			For:     []admission.Operation{admission.Create}, Namespaced: true,
		}},
	}}
}

func registration(resources ...string) []schema.GroupVersionResource {
	var all []schema.GroupVersionResource
	for _, resource := range resources {
		all = append(all, schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resource})
	}
	return all
}

// Names are those of the whole chain, in order.
func Names() []string {
	var names []string
	for _, plugin := range Plugins() {
		names = append(names, plugin.Name)
	}
	return names
}

// Register adds the factories of all plugins.
func Register(plugins *admission.Plugins) {
	for _, plugin := range Plugins() {
		plugin.Register(plugins)
	}
}
