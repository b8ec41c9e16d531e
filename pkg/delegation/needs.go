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

package delegation

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
)

// Need is a permission that the server needs in the cluster.
type Need struct {
	// Name identifies the need. It is part of the name of a health check, so it has no spaces.
	Name string
	// Verbs on Resource, all of which are needed. A subresource is named as in discovery, such as
	// resourcequotas/status.
	Verbs    []string
	Resource schema.GroupVersionResource
	// Namespace and Object limit the need; empty for all.
	Namespace, Object string
	// Without is the consequence if the permission is missing.
	Without string
	// Cure is the remedy by an administrator of the cluster.
	Cure string
	// Newer needs are met if the cluster does not serve the resource.
	Newer bool
	// Vital needs keep the server from being ready: without them it can serve no request.
	Vital bool
}

// cure is the remedy for every missing permission.
const cure = "apply artifacts/deploy/rbac.yaml"

// Needs returns every permission that the server needs in the cluster, for the enabled admission
// plugins. artifacts/deploy/rbac.yaml grants the same permissions; a test compares the two.
func Needs(plugins []string, tokenReviews bool) []Need {
	needs := []Need{{
		Name:      "trust",
		Verbs:     []string{"get", "list", "watch"},
		Resource:  schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Namespace: authentication.TrustNamespace,
		Object:    authentication.TrustConfigMap,
		Without:   "a new certificate of the front proxy or a new users' authority is not noticed, and callers are refused with 401 once the old one is gone",
		Cure:      cure,
	}, {
		Name:     "access-reviews",
		Verbs:    []string{"create"},
		Resource: schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"},
		Without:  "every request is refused except those of system:masters",
		Cure:     cure,
		Vital:    true,
	}, {
		Name:      "revoked-hosts",
		Verbs:     []string{"get"},
		Resource:  schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Namespace: revocation.Namespace,
		Object:    revocation.ConfigMap,
		Without:   "hosts whose certificates were revoked (gatehouse host revoke) are accepted",
		Cure:      cure,
	}}
	if slices.Contains(plugins, resourcequota.PluginName) {
		needs = append(needs, Need{
			Name:     "resource-quota-status",
			Verbs:    []string{"update"},
			Resource: schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas/status"},
			Without:  "nothing can be created in a namespace that has a resource quota",
			Cure:     cure,
		})
	}
	needs = append(needs, admissionNeeds(plugins)...)
	if callsWebhooks(plugins) {
		needs = append(needs, Need{
			Name:     admission.NeedServices,
			Verbs:    []string{"list", "watch"},
			Resource: schema.GroupVersionResource{Version: "v1", Resource: "services"},
			Without:  "webhooks that name a service cannot be called",
			Cure:     cure,
		})
	}
	if tokenReviews {
		needs = append(needs, Need{
			Name:     "token-reviews",
			Verbs:    []string{"create"},
			Resource: schema.GroupVersionResource{Group: "authentication.k8s.io", Version: "v1", Resource: "tokenreviews"},
			Without:  "callers that come directly with a bearer token are refused with 401",
			Cure:     cure,
		})
	}
	return needs
}

// callsWebhooks reports whether a plugin resolves services.
func callsWebhooks(plugins []string) bool {
	return slices.Contains(plugins, mutatingwebhook.PluginName) || slices.Contains(plugins, validatingwebhook.PluginName)
}

// reads calls a function for each resource that an enabled admission plugin reads.
func reads(plugins []string, each func(admission.Plugin, admission.Read, schema.GroupVersionResource)) {
	for _, plugin := range admission.Plugins() {
		if !slices.Contains(plugins, plugin.Name) {
			continue
		}
		for _, read := range plugin.Reads {
			for _, resource := range read.Resources {
				each(plugin, read, resource)
			}
		}
	}
}

// admissionNeeds returns the needs of the enabled admission plugins.
func admissionNeeds(plugins []string) []Need {
	var needs []Need
	reads(plugins, func(_ admission.Plugin, read admission.Read, resource schema.GroupVersionResource) {
		verbs := []string{"list", "watch"}
		if read.Live {
			verbs = []string{"get", "list", "watch"}
		}
		needs = append(needs, Need{
			Name: read.NeedOf(resource), Verbs: verbs, Resource: resource, Without: read.Without, Cure: cure, Newer: read.Newer,
		})
	})
	return needs
}
