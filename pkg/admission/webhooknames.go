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
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// defaultServicePort is the port of a service that a clientConfig names without one.
const defaultServicePort = 443

// webhookNames finds the name of a webhook by its address: its client knows nothing else. It has the
// registrations by the gate, and finds either those in shadow or the others.
type webhookNames struct {
	byGate map[diagnostics.Gate]*registrations
	shadow bool
}

func newWebhookNames(all map[string]*registrations, shadow bool) webhookNames {
	return webhookNames{byGate: map[diagnostics.Gate]*registrations{
		diagnostics.MutatingAdmission: all[mutatingwebhook.PluginName], diagnostics.ValidatingAdmission: all[validatingwebhook.PluginName],
	}, shadow: shadow}
}

// of returns CONFIGURATION/WEBHOOK and the configuration if exactly one webhook has the address, and
// otherwise the address without its query.
func (n webhookNames) of(gate diagnostics.Gate, address *url.URL) (string, *diagnostics.Object) {
	var found *registered
	count := 0
	if current := n.byGate[gate].current(); current != nil {
		for i := range current.all {
			if one := &current.all[i]; one.shadow == n.shadow && called(one.client, address) {
				found = one
				count++
			}
		}
	}
	if count == 1 {
		return found.by, found.objects[0]
	}
	return (&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}).String(), nil
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
	by, configuration := t.names.of(record.Gate(), r.URL)
	record.CallBegins(by)
	begun := time.Now()
	response, err := t.RoundTripper.RoundTrip(r)
	record.Called(by, configuration, time.Since(begun))
	return response, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *tracedTransport) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }
