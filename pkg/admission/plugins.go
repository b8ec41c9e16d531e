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
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/eventratelimit"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hosttaints"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/limitranger"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/ownerreferences"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/policies"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// Plugin is one entry of the chain.
type Plugin struct {
	// Name is its name in flags and messages.
	Name string
	// Register adds its factory.
	Register func(*admission.Plugins)
	// Why is the reason for the plugin and its place in the chain.
	Why string
	// Cure is what users do about its refusals, if its messages do not name it: the end of a sentence
	// that names the plugin.
	Cure string
	// Foreign plugins return texts of external programs, which are cut to a size.
	Foreign bool
	// Expressions plugins run users' expressions: their time is bounded.
	Expressions bool
	// DefaultOff plugins run only if they are enabled explicitly.
	DefaultOff bool
	// Reads are the resources that the plugin reads in a cluster.
	Reads []Read
}

// Read is a dependency of a plugin on resources of a cluster.
type Read struct {
	// Need is the name of the preflight need.
	Need string
	// Resources are the resources of the need.
	Resources []schema.GroupVersionResource
	// Live is true if single objects are also read, besides being listed and watched.
	Live bool
	// Without is the effect that the preflight report shows if the need is not met.
	Without string
	// Newer is true if older clusters do not serve the resources: the plugin is then off.
	Newer bool
	// For are the operations for which the plugin needs it, and Namespaced and About limit
	// them to objects in namespaces and to a resource.
	For        []admission.Operation
	Namespaced bool
	About      schema.GroupResource
}

// NeedOf returns the name of the preflight need of one of several resources.
func (r Read) NeedOf(resource schema.GroupVersionResource) string {
	if len(r.Resources) == 1 {
		return r.Need
	}
	return r.Need + "-" + resource.Resource
}

// NeedNamespaces is the preflight need of plugins that read namespaces, and NeedQuotas that of the
// plugin that reads resource quotas.
const (
	NeedNamespaces = "namespaces"
	NeedQuotas     = "resource-quotas"
)

// Plugins returns the chain, in order. Only this list orders plugins. The mutating parts of all of
// them run first, in this order, and the validating parts after validation.
func Plugins() []Plugin {
	// A deletion has no object to mutate.
	changes := []admission.Operation{admission.Create, admission.Update, admission.Connect}
	writes := append(slices.Clone(changes), admission.Delete)
	webhooks := func(resource string) Read {
		return Read{
			Need: resource, Resources: registration(resource), For: writes,
			Without: "nothing can be written, because the webhooks that match are not known",
		}
	}
	policyObjects := func(need string, operations []admission.Operation, resources ...string) Read {
		return Read{
			Need: need, Resources: registration(resources...), For: operations, Newer: true,
			Without: "nothing can be written, because the policies that match are not known",
		}
	}
	return []Plugin{{
		Name:     lifecycle.PluginName,
		Register: lifecycle.Register,
		Why:      "first, because no other plugin needs to run for an object whose namespace does not exist or is being deleted",
		Cure:     "name a namespace that exists and is not going away; the ones of the system stay",
		Reads: []Read{{
			Need: NeedNamespaces, Resources: []schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("namespaces")}, Live: true,
			Without: "objects in namespaces cannot be created",
			For:     []admission.Operation{admission.Create}, Namespaced: true,
		}},
	}, {
		Name:     limitranger.PluginName,
		Register: limitranger.Register,
		Why:      "before policies and webhooks, which see the defaults that it sets, and before the quota, which requires what it sets and charges it; early, as in Kubernetes, because it reads from memory only",
		Cure:     "set resources.requests and resources.limits of the containers within the bounds, which kubectl describe limits prints",
		Reads: []Read{{
			Need: "limit-ranges", Resources: []schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("limitranges")},
			Without: "instances cannot be created",
			For:     []admission.Operation{admission.Create}, Namespaced: true, About: fleet.Resource("instances"),
		}},
	}, {
		Name:     serviceaccount.PluginName,
		Register: serviceaccount.Register,
		Why:      "before all plugins that read instances, so that they see the service account",
		Reads: []Read{{
			Need: "service-accounts", Resources: []schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("serviceaccounts")}, Live: true,
			Without: "instances cannot be created",
			For:     []admission.Operation{admission.Create}, Namespaced: true, About: fleet.Resource("instances"),
		}},
	}, {
		Name:     hostrestriction.PluginName,
		Register: hostrestriction.Register,
		Why:      "before all that costs more: no other plugin needs to run for what a host may not write",
		Cure:     "let the host's agent write only what docs/hosts.md lists",
	}, {
		Name:     hosttaints.PluginName,
		Register: hosttaints.Register,
		Why:      "before policies and webhooks, which may match taints; HostRestriction, which validates after all changes, accepts this taint",
	}, {
		Name:       alwayspullimages.PluginName,
		Register:   alwayspullimages.Register,
		Why:        "the last of our mutating plugins, so that none of ours adds a container after it; off, because it costs a pull at every start",
		DefaultOff: true,
	}, {
		Name:     eventratelimit.PluginName,
		Register: eventratelimit.Register,
		Why:      "before all that costs more, and before the quota, whose charge is a write: an event beyond the limit must not cost one",
		Cure:     "write fewer events, or raise the limits of the plugin in --admission-control-config-file",
	}, {
		Name:     ownerreferences.PluginName,
		Register: ownerreferences.Register,
		Why:      "it only validates, so it also checks owners that a webhook adds; before policies and webhooks, which cost more; on, unlike in Kubernetes, because without it the right to create an object includes blocking the deletion of others",
	}, {
		Name:     certificates.ApprovalName,
		Register: certificates.RegisterApproval,
		Why:      "it only validates, and costs less than policies and webhooks: an approval without the right for its signer must not reach them",
	}, {
		Name:     certificates.SigningName,
		Register: certificates.RegisterSigning,
		Why:      "as the plugin before it, for certificates",
	}, {
		Name:     certificates.AttestName,
		Register: certificates.RegisterAttest,
		Why:      "as the two before it, for trust bundles; it only validates, so it sees the signer that is stored",
	}, {
		Name:     certificates.SubjectName,
		Register: certificates.RegisterSubject,
		Why:      "it only validates, so it sees the request that is stored, after every change",
	}, {
		Name:     certificates.RevocationName,
		Register: certificates.RegisterRevocation,
		Why:      "as the plugins for signers; on, because without it the roles edit and admin, bound in the whole cluster, include lifting revocations",
	}, {
		Name:        mutatingpolicy.PluginName,
		Register:    registerLazily(mutatingpolicy.PluginName, policies.RegisterMutating, checkMutatingPolicies, mutating, changes...),
		Why:         "after our own plugins, so that policies see their changes, and before webhooks, because an expression costs less than a call",
		Cure:        "change the object, or the policy and its binding",
		Expressions: true,
		Reads:       []Read{policyObjects("mutating-policies", changes, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")},
	}, {
		Name:     mutatingwebhook.PluginName,
		Register: registerLazily(mutatingwebhook.PluginName, mutatingwebhook.Register, checkWebhooks, mutating, writes...),
		Why:      "the last mutating plugin: webhooks belong to users, and receive the object as it would be stored",
		Cure:     "change the object, or the MutatingWebhookConfiguration",
		Foreign:  true,
		Reads:    []Read{webhooks("mutatingwebhookconfigurations")},
	}, {
		Name:        validatingpolicy.PluginName,
		Register:    registerLazily(validatingpolicy.PluginName, policies.RegisterValidating, checkValidatingPolicies, validating, writes...),
		Why:         "after every change and after validation, so that it sees the object that is stored; before webhooks, which cost more",
		Cure:        "change the object, or the policy and its binding",
		Expressions: true,
		Reads:       []Read{policyObjects("validating-policies", writes, "validatingadmissionpolicies", "validatingadmissionpolicybindings")},
	}, {
		Name:     validatingwebhook.PluginName,
		Register: registerLazily(validatingwebhook.PluginName, validatingwebhook.Register, checkWebhooks, validating, writes...),
		Why:      "after all that costs less, because each webhook is a call over the network",
		Cure:     "change the object, or the ValidatingWebhookConfiguration",
		Foreign:  true,
		Reads:    []Read{webhooks("validatingwebhookconfigurations")},
	}, {
		Name:     resourcequota.PluginName,
		Register: resourcequota.Register,
		Why:      "last: it charges the object that is about to be stored, and a refusal by a later plugin would leave the charge behind",
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

// Names returns the names of all plugins of the chain, in order.
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
