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

package quota

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// fleet is the API group of the fleet, and the domain of the names of sums.
const fleet = v1alpha1.GroupName

// Names of sums over the instances that have not ended. They are integers, because a kube-apiserver
// accepts no others for names with a domain.
const (
	RequestsMilliCPU corev1.ResourceName = fleet + "/requests.millicpu"
	RequestsMemory   corev1.ResourceName = fleet + "/requests.memory"
	LimitsMilliCPU   corev1.ResourceName = fleet + "/limits.millicpu"
	LimitsMemory     corev1.ResourceName = fleet + "/limits.memory"
)

// Kind is a kind of counted objects.
type Kind struct {
	Resource schema.GroupVersionResource
	// Alias is a second name of the count, older than the names of the form count/RESOURCE; empty
	// for most kinds.
	Alias corev1.ResourceName
}

// Names returns the names under which the objects are counted.
func (k Kind) Names() []corev1.ResourceName {
	names := []corev1.ResourceName{CountName(k.Resource.GroupResource())}
	if k.Alias != "" {
		names = append(names, k.Alias)
	}
	return names
}

// CountName returns the name of the object count of a resource.
func CountName(resource schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName("count/" + resource.String())
}

// Instances returns the only resource with sums.
func Instances() schema.GroupVersionResource {
	return v1alpha1.SchemeGroupVersion.WithResource("instances")
}

// Events returns the two resources of events, which are stored once. A quota may limit them by the
// name of either group, and each name counts all.
func Events() []schema.GroupResource {
	return []schema.GroupResource{{Resource: "events"}, {Group: "events.k8s.io", Resource: "events"}}
}

// Kinds returns all namespaced kinds that a standalone server stores.
func Kinds() []Kind {
	const rbac, coordination = "rbac.authorization.k8s.io", "coordination.k8s.io"
	return []Kind{
		{Resource: Instances()},
		{Resource: schema.GroupVersionResource{Group: fleet, Version: "v1alpha1", Resource: "apps"}},
		{Resource: schema.GroupVersionResource{Group: fleet, Version: "v1alpha1", Resource: "releases"}},
		{Resource: Events()[0].WithVersion("v1"), Alias: CountName(Events()[1])},
		{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, Alias: corev1.ResourceConfigMaps},
		{Resource: schema.GroupVersionResource{Version: "v1", Resource: "limitranges"}},
		{Resource: schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}, Alias: corev1.ResourceQuotas},
		{Resource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, Alias: corev1.ResourceSecrets},
		{Resource: schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}},
		{Resource: schema.GroupVersionResource{Group: coordination, Version: "v1", Resource: "leases"}},
		{Resource: schema.GroupVersionResource{Group: rbac, Version: "v1", Resource: "roles"}},
		{Resource: schema.GroupVersionResource{Group: rbac, Version: "v1", Resource: "rolebindings"}},
	}
}

// Ignored returns the namespaced resources that can be created and that no quota counts: reviews,
// which are not stored.
func Ignored() []schema.GroupResource {
	return []schema.GroupResource{
		{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"},
	}
}

// rootCertificates is the name of the ConfigMap that the server publishes in each namespace.
const rootCertificates = "kube-root-ca.crt"

// Exempt reports whether an object of a counted kind counts against no quota: a quota is what users of the
// namespace have, and the server publishes the object and creates it again. The server also writes its
// content, so users cannot store anything in it.
func Exempt(resource schema.GroupResource, name string) bool {
	return resource == schema.GroupResource{Resource: "configmaps"} && name == rootCertificates
}

// Enforced reports whether a standalone server counts what a quota limits by this name. Other names
// limit nothing there, because objects of the kind are not stored.
func Enforced(name corev1.ResourceName) bool {
	for _, m := range measures {
		if name == m.Name {
			return true
		}
	}
	for _, kind := range Kinds() {
		for _, counted := range kind.Names() {
			if name == counted {
				return true
			}
		}
	}
	return false
}

// Scoped reports whether a quota has a scope. All scopes are about pods and volumes, so a quota with
// any of them limits none of the counted kinds.
func Scoped(spec *corev1.ResourceQuotaSpec) bool {
	return len(spec.Scopes) > 0 || (spec.ScopeSelector != nil && len(spec.ScopeSelector.MatchExpressions) > 0)
}
