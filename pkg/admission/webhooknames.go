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
	"net/http"
	"net/url"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/labels"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/client-go/informers"
	admissionregistrationlisters "k8s.io/client-go/listers/admissionregistration/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// defaultServicePort is the port of a service that a clientConfig names without one.
const defaultServicePort = 443

// webhookNames finds the name of a webhook by its address: its client knows nothing else. A lister is
// nil if its plugin is off.
type webhookNames struct {
	mutating   admissionregistrationlisters.MutatingWebhookConfigurationLister
	validating admissionregistrationlisters.ValidatingWebhookConfigurationLister
}

func newWebhookNames(factory informers.SharedInformerFactory, enabled []string) webhookNames {
	var n webhookNames
	for _, name := range enabled {
		switch name {
		case mutatingwebhook.PluginName:
			n.mutating = factory.Admissionregistration().V1().MutatingWebhookConfigurations().Lister()
		case validatingwebhook.PluginName:
			n.validating = factory.Admissionregistration().V1().ValidatingWebhookConfigurations().Lister()
		}
	}
	return n
}

// of returns CONFIGURATION/WEBHOOK if exactly one webhook has the address, and otherwise the address
// without its query.
func (n webhookNames) of(gate diagnostics.Gate, address *url.URL) string {
	found, count := "", 0
	compare := func(configuration, webhook string, client *admissionregistrationv1.WebhookClientConfig) {
		if called(client, address) {
			found = configuration + "/" + webhook
			count++
		}
	}
	if gate == diagnostics.MutatingAdmission && n.mutating != nil {
		all, _ := n.mutating.List(labels.Everything())
		for _, c := range all {
			for i := range c.Webhooks {
				compare(c.Name, c.Webhooks[i].Name, &c.Webhooks[i].ClientConfig)
			}
		}
	}
	if gate == diagnostics.ValidatingAdmission && n.validating != nil {
		all, _ := n.validating.List(labels.Everything())
		for _, c := range all {
			for i := range c.Webhooks {
				compare(c.Name, c.Webhooks[i].Name, &c.Webhooks[i].ClientConfig)
			}
		}
	}
	if count == 1 {
		return found
	}
	return (&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}).String()
}

// called reports whether a call of the webhook has the address.
func called(client *admissionregistrationv1.WebhookClientConfig, address *url.URL) bool {
	if client.URL != nil {
		own, err := url.Parse(*client.URL)
		return err == nil && own.Host == address.Host && own.Path == address.Path
	}
	service := client.Service
	if service == nil {
		return false
	}
	host := service.Name + "." + service.Namespace + ".svc"
	port := strconv.Itoa(int(ptr.Deref(service.Port, defaultServicePort)))
	return (address.Host == host || address.Host == host+":"+port) && address.Path == ptr.Deref(service.Path, "/")
}

// tracedTransport records the calls of webhooks.
type tracedTransport struct {
	http.RoundTripper
	names webhookNames
}

// RoundTrip implements http.RoundTripper.
func (t *tracedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	record := diagnostics.From(r.Context())
	if record == nil {
		return t.RoundTripper.RoundTrip(r)
	}
	by := t.names.of(record.Gate(), r.URL)
	record.Running(by)
	begun := time.Now()
	response, err := t.RoundTripper.RoundTrip(r)
	record.Called(by, time.Since(begun))
	return response, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *tracedTransport) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }
