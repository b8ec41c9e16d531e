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
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/util/webhook"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// NeedServices is the preflight need of ClusterServices. It belongs to no plugin: without the right
// to read services only webhooks that name one fail.
const NeedServices = "services"

// ClusterServices resolves a webhook's service as a kube-apiserver does, to its cluster IP or its
// external name in the cluster. A name such as hook.shop.svc resolves only in the cluster's DNS.
type ClusterServices struct {
	Services corelisters.ServiceLister
	// Synced reports whether all services have been read once.
	Synced func() bool
	// Missing returns why they cannot be read; nil if they can.
	Missing func(need string) error
}

var _ webhook.ServiceResolver = ClusterServices{}

// ResolveEndpoint implements webhook.ServiceResolver.
func (c ClusterServices) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	// Cached services are used after the cluster revokes the right.
	if !c.Synced() {
		if err := c.Missing(NeedServices); err != nil {
			return nil, fmt.Errorf("clientConfig.service: %w", err)
		}
		return nil, errors.New("clientConfig.service: the services of the cluster have not been read yet: try again")
	}
	service, err := c.Services.Services(namespace).Get(name)
	if err != nil {
		return nil, fmt.Errorf("clientConfig.service: %s/%s leads nowhere: %w", namespace, name, err)
	}
	host, err := hostOf(service, port)
	if err != nil {
		return nil, fmt.Errorf("clientConfig.service: %s/%s leads nowhere: %w", namespace, name, err)
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
}

// hostOf implements ResolveCluster of k8s.io/apiserver/pkg/util/proxy, which would link the
// dependencies of a proxy.
func hostOf(service *corev1.Service, port int32) (string, error) {
	switch service.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return service.Spec.ExternalName, nil // its ports need not be listed
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
	default:
		return "", fmt.Errorf("services of type %q are not supported", service.Spec.Type)
	}
	switch service.Spec.ClusterIP {
	case corev1.ClusterIPNone:
		return "", errors.New("it is headless: give it a cluster IP")
	case "":
		return "", errors.New("it has no cluster IP yet: try again")
	}
	if !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port }) {
		return "", fmt.Errorf("it has no port %d: clientConfig.service.port is a port of the service, 443 where none is named", port)
	}
	return service.Spec.ClusterIP, nil
}

// NoServices is the resolver of servers without a cluster, which have no services.
type NoServices struct{}

var _ webhook.ServiceResolver = NoServices{}

// ResolveEndpoint implements webhook.ServiceResolver.
func (NoServices) ResolveEndpoint(namespace, name string, _ int32) (*url.URL, error) {
	return nil, fmt.Errorf("clientConfig.service: a standalone server has no services, so %s/%s leads nowhere: use clientConfig.url", namespace, name)
}
