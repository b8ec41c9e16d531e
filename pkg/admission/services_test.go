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
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func TestServicesAreResolvedFromTheCluster(t *testing.T) {
	all := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for name, spec := range map[string]corev1.ServiceSpec{
		"inside":   {Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.7", Ports: []corev1.ServicePort{{Port: 443}}},
		"outside":  {Type: corev1.ServiceTypeExternalName, ExternalName: "hooks.example.com"},
		"balanced": {Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "fd00::7", Ports: []corev1.ServicePort{{Port: 80}, {Port: 443}}},
		"new":      {Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Port: 443}}},
		"strange":  {Type: "Pigeon", ClusterIP: "10.0.0.8", Ports: []corev1.ServicePort{{Port: 443}}},
		"headless": {Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Port: 443}}},
	} {
		if err := all.Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: spec}); err != nil {
			t.Fatal(err)
		}
	}
	refused := errors.New("cannot list services: not permitted")
	for _, tc := range []struct {
		name, service string
		port          int32
		unread        bool
		missing       error
		want, message string
	}{
		{name: "a cluster IP", service: "inside", port: 443, want: "https://10.0.0.7:443"},
		{name: "an external name", service: "outside", port: 8443, want: "https://hooks.example.com:8443"},
		{name: "a port that the service does not have", service: "inside", port: 8443, message: "shop/inside leads nowhere: it has no port 8443"},
		{name: "a service without an address", service: "headless", port: 443, message: "shop/headless leads nowhere: it is headless: give it a cluster IP"},
		{name: "no such service", service: "none", port: 443, message: `shop/none leads nowhere: service "none" not found`},
		{name: "a service that balances load", service: "balanced", port: 443, want: "https://[fd00::7]:443"},
		{name: "a service without an address yet", service: "new", port: 443, message: "shop/new leads nowhere: it has no cluster IP yet"},
		{name: "an unknown type", service: "strange", port: 443, message: `shop/strange leads nowhere: services of type "Pigeon" are not supported`},
		{name: "the right was taken away after services were read", service: "inside", port: 443, missing: refused, want: "https://10.0.0.7:443"},
		{name: "services may not be read", service: "inside", port: 443, unread: true, missing: refused, message: "clientConfig.service: cannot list services: not permitted"},
		{name: "services have not been read yet", service: "inside", port: 443, unread: true, message: "have not been read yet: try again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			services := ClusterServices{
				Services: corelisters.NewServiceLister(all),
				Synced:   func() bool { return !tc.unread },
				Missing:  func(string) error { return tc.missing },
			}
			got, err := services.ResolveEndpoint("shop", tc.service, tc.port)
			if tc.message != "" {
				if err == nil || !strings.Contains(err.Error(), tc.message) {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestAServiceLeadsNowhereWithoutACluster(t *testing.T) {
	_, err := NoServices{}.ResolveEndpoint("shop", "hook", 443)
	if err == nil || !strings.Contains(err.Error(), "shop/hook leads nowhere: use clientConfig.url") {
		t.Errorf("got %v", err)
	}
}
