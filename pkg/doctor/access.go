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

package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/cert"
)

// ready are the endpoints of the server that are ready.
type ready struct {
	addresses sets.Set[string]
	nodes     sets.Set[string]
	// outside is set for a service that is a name outside of the cluster.
	outside bool
}

// readyEndpoints reads the endpoints of the service of the first APIService.
func (c *aggregation) readyEndpoints(ctx context.Context) (*ready, []Finding) {
	services, _, err := c.registered(ctx)
	if err != nil {
		return nil, []Finding{unread("apiservices.apiregistration.k8s.io", err)}
	}
	for _, a := range services {
		if a.Spec.Service == nil {
			continue
		}
		found := &ready{addresses: sets.New[string](), nodes: sets.New[string]()}
		if service, err := c.client.CoreV1().Services(a.Spec.Service.Namespace).Get(ctx, a.Spec.Service.Name, metav1.GetOptions{}); err == nil && service.Spec.Type == corev1.ServiceTypeExternalName {
			found.outside = true
			return found, nil
		}
		slices, err := c.client.DiscoveryV1().EndpointSlices(a.Spec.Service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + a.Spec.Service.Name})
		if err != nil {
			return nil, []Finding{unread("endpointslices.discovery.k8s.io", err)}
		}
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
					found.addresses.Insert(endpoint.Addresses...)
					if endpoint.NodeName != nil {
						found.nodes.Insert(*endpoint.NodeName)
					}
				}
			}
		}
		return found, nil
	}
	return nil, []Finding{warning("cure apiservices first", "not checked: no APIService names a service")}
}

func (c *aggregation) endpoints(ctx context.Context) []Finding {
	if c.BeforeStart {
		return []Finding{ok("not checked: the server of this pod does not run yet (--before-start)")}
	}
	found, problem := c.readyEndpoints(ctx)
	switch {
	case problem != nil:
		return problem
	case found.outside:
		return []Finding{ok("the service is a name outside of the cluster")}
	case len(found.addresses) == 0:
		return []Finding{broken("", "the service has no endpoint that is ready: requests of the server's kinds get 503")}
	}
	return []Finding{ok("%d are ready", len(found.addresses))}
}

// serves reports whether the cluster serves a resource.
func (c *aggregation) serves(ctx context.Context, resource schema.GroupVersionResource) (bool, error) {
	path := "/apis/" + resource.Group + "/" + resource.Version
	if resource.Group == "" {
		path = "/api/" + resource.Version
	}
	var list metav1.APIResourceList
	if err := c.read(ctx, path, &list); apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, r := range list.APIResources {
		if r.Name == resource.Resource {
			return true, nil
		}
	}
	return false, nil
}

// rights reviews each verb of each need, and names those that are refused.
func (c *aggregation) rights(ctx context.Context) []Finding {
	var found []Finding
	number := 0
	for _, need := range c.Needs {
		if need.Newer {
			served, err := c.serves(ctx, need.Resource)
			if err != nil {
				return append(found, unread("discovery", err))
			}
			if !served {
				continue // a finding of policies
			}
		}
		var refused []string
		for _, verb := range need.Verbs {
			allowed, err := c.allowed(ctx, verb, need)
			if apierrors.IsForbidden(err) {
				return append(found, warning("run this command as an administrator of the cluster, or in a pod of the server", "not checked: this user may not review the rights of %s", c.account()))
			} else if err != nil {
				return append(found, unread("access reviews", err))
			}
			number++
			if !allowed {
				refused = append(refused, verb)
			}
		}
		if len(refused) > 0 {
			found = append(found, broken(need.Cure, "%s may not %s %s; without it %s", c.account(), strings.Join(refused, ", "), need.what(), need.Without))
		}
	}
	return orOK(found, "%s has all %d rights", c.account(), number)
}

func (n *Need) what() string {
	what := n.Resource.GroupResource().String()
	if n.Object != "" {
		what += " " + n.Object
	}
	if n.Namespace != "" {
		what += " in namespace " + n.Namespace
	}
	return what
}

func (c *aggregation) account() string {
	if c.ServiceAccount == "" {
		return "this user"
	}
	return "the service account " + c.ServiceAccount
}

func (c *aggregation) allowed(ctx context.Context, verb string, need Need) (bool, error) {
	resource, subresource, _ := strings.Cut(need.Resource.Resource, "/")
	attributes := &authorizationv1.ResourceAttributes{
		Verb: verb, Group: need.Resource.Group, Version: need.Resource.Version, Resource: resource, Subresource: subresource,
		Namespace: need.Namespace, Name: need.Object,
	}
	if c.ServiceAccount == "" {
		review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed, err
	}
	namespace, _, _ := strings.Cut(c.ServiceAccount, ":")
	review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes: attributes, User: "system:serviceaccount:" + c.ServiceAccount,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed, err
}

// policies names what of admission is off, because the cluster is too old to serve it.
func (c *aggregation) policies(ctx context.Context) []Finding {
	var found []Finding
	number := 0
	for _, need := range c.Needs {
		if !need.Newer {
			continue
		}
		number++
		served, err := c.serves(ctx, need.Resource)
		if err != nil {
			return append(found, unread("discovery", err))
		}
		if !served {
			found = append(found, warning("", "the cluster does not serve %s in %s, so these policies do not apply to the server's kinds", need.Resource.Resource, need.Resource.GroupVersion()))
		}
	}
	return orOK(found, "the cluster serves all %d kinds of policies that older clusters lack", number)
}

// Place and keys of the ConfigMap in which kube-apiserver writes whom servers behind it must trust.
const (
	trustNamespace, trustConfigMap = "kube-system", "extension-apiserver-authentication"
	proxyCAKey, clientCAKey        = "requestheader-client-ca-file", "client-ca-file"
	proxyNamesKey, proxyUsersKey   = "requestheader-allowed-names", "requestheader-username-headers"
)

func (c *aggregation) frontProxy(ctx context.Context) []Finding {
	const where = "ConfigMap " + trustNamespace + "/" + trustConfigMap
	trust, err := c.client.CoreV1().ConfigMaps(trustNamespace).Get(ctx, trustConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []Finding{broken("start kube-apiserver with --requestheader-client-ca-file: it then writes the ConfigMap", "%s does not exist, so the server does not start", where)}
	} else if err != nil {
		return []Finding{unread("configmaps "+trustConfigMap+" in namespace "+trustNamespace, err)}
	}
	proxies, err := cert.ParseCertsPEM([]byte(trust.Data[proxyCAKey]))
	if err != nil {
		return []Finding{broken("", "%s in %s holds no certificate, so the server does not start", proxyCAKey, where)}
	}
	var found []Finding
	for _, authority := range proxies {
		if f := expiry(fmt.Sprintf("the authority of the front proxy, %s,", authority.Subject.CommonName), "give kube-apiserver a new --requestheader-client-ca-file, and a --proxy-client-cert-file that it has signed", authority, c.Clock.Now()); f.Status != OK {
			found = append(found, f)
		}
	}
	if len(stringsOf(trust.Data[proxyUsersKey])) == 0 {
		found = append(found, broken("start kube-apiserver with --requestheader-username-headers", "%s names no header for the user, so the server does not start", where))
	}
	names := stringsOf(trust.Data[proxyNamesKey])
	if len(names) == 0 {
		found = append(found, broken("start kube-apiserver with --requestheader-allowed-names", "%s names no common name for the front proxy: any certificate of that authority could act as any user, so the server does not start", where))
	}
	users, err := cert.ParseCertsPEM([]byte(trust.Data[clientCAKey]))
	if err != nil && trust.Data[clientCAKey] != "" {
		found = append(found, broken("start kube-apiserver with a valid --client-ca-file", "%s in %s holds no certificate", clientCAKey, where))
	}
	for _, user := range users {
		for _, proxy := range proxies {
			if string(user.RawSubjectPublicKeyInfo) == string(proxy.RawSubjectPublicKeyInfo) {
				found = append(found, warning("give the front proxy an authority of its own (kube-apiserver --requestheader-client-ca-file)", "the authority of the front proxy, %s, also signs certificates of users: a user with one of the names %v can act as any user", proxy.Subject.CommonName, names))
			}
		}
	}
	return orOK(found, "its authority is valid until %s, and its names are %v", stamp(proxies[0].NotAfter), names)
}

// stringsOf reads a list in JSON; nil if there is none.
func stringsOf(text string) []string {
	var list []string
	_ = json.Unmarshal([]byte(text), &list)
	return list
}

// away says what happens to the cluster while the server is away, and whether that happens now.
func (c *aggregation) away(ctx context.Context) []Finding {
	const then = "while none responds, no namespace of the cluster is deleted, garbage collection of the server's kinds stops, and kubectl prints errors of discovery (docs/install.md, When Gatehouse is down)"
	var found []Finding
	if stuck := c.stuck(ctx); len(stuck) > 0 {
		found = append(found, broken("cure what the lines apiservices, ca-bundle and endpoints say; the deletion then goes on by itself", "the deletion of %s waits for an API that does not respond", some(stuck, ", ")))
	}
	if c.BeforeStart {
		return orOK(found, "%s", then)
	}
	endpoints, problem := c.readyEndpoints(ctx)
	switch {
	case problem != nil:
		return append(found, problem...)
	case endpoints.outside:
	case len(endpoints.addresses) < 2:
		found = append(found, warning("", "%d replicas are ready; %s", len(endpoints.addresses), then))
	case len(endpoints.nodes) == 1:
		found = append(found, warning("", "all %d replicas are on one node; %s", len(endpoints.addresses), then))
	}
	return orOK(found, "%s", then)
}

// stuck returns the namespaces whose deletion waits for discovery. Without the right to list namespaces it is empty.
func (c *aggregation) stuck(ctx context.Context) []string {
	namespaces, err := c.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil
	}
	var names []string
	for _, namespace := range namespaces.Items {
		for _, condition := range namespace.Status.Conditions {
			if condition.Type == corev1.NamespaceDeletionDiscoveryFailure && condition.Status == corev1.ConditionTrue {
				names = append(names, namespace.Name)
			}
		}
	}
	return names
}
