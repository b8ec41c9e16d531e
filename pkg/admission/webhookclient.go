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
	"fmt"
	"io"
	"net/http"
	"net/url"

	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/gatehouse-dev/gatehouse/pkg/transports"
)

const (
	// maxWebhookAnswer bounds the body of a webhook's response, in bytes after decompression. It is
	// equal to the bound of a request's body; a patch in base64 that replaces the largest object
	// that etcd stores is smaller.
	maxWebhookAnswer = 3 << 20
	// maxWebhookFailure bounds the bytes that are read of a response that is not a success. The client
	// adds the body to its error, which is logged and returned to the caller.
	maxWebhookFailure = 2 << 10
	// maxLocation bounds the address of a redirect in an error message.
	maxLocation = 256
)

// errAnswerTooLarge is the error of a response of more than maxWebhookAnswer bytes.
var errAnswerTooLarge = fmt.Errorf("the webhook's answer is larger than %d bytes: let it answer with a smaller patch and shorter texts", maxWebhookAnswer)

// webhookClients gives the clients of all webhooks, also those of kubeconfig files, a transport that
// follows no redirects and bounds the size of responses, and the wrapper around it. trace, if not nil,
// traces their requests.
func webhookClients(wrap transport.WrapperFunc, trace transport.WrapperFunc) webhook.AuthenticationInfoResolverWrapper {
	guarded := func(config *rest.Config, err error) (*rest.Config, error) {
		if err != nil {
			return nil, err
		}
		config = rest.CopyConfig(config)
		config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return wrap(&guardedTransport{rt}) })
		if trace != nil {
			config.Wrap(trace)
		}
		return config, nil
	}
	return func(delegate webhook.AuthenticationInfoResolver) webhook.AuthenticationInfoResolver {
		return &webhook.AuthenticationInfoResolverDelegator{
			ClientConfigForFunc: func(hostPort string) (*rest.Config, error) { return guarded(delegate.ClientConfigFor(hostPort)) },
			ClientConfigForServiceFunc: func(name, namespace string, port int) (*rest.Config, error) {
				return guarded(delegate.ClientConfigForService(name, namespace, port))
			},
		}
	}
}

// guardedTransport handles every response before http.Client. http.Client follows redirects, repeats
// the body of the request on 307 and 308, and verifies no certificate for the scheme http;
// rest.Config has no field that forbids it.
type guardedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t *guardedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		_ = response.Body.Close()
		return nil, fmt.Errorf("the webhook redirects to %q (code %d), and redirects are not followed: let clientConfig name the address that answers",
			cut(location(response), maxLocation), response.StatusCode)
	case response.StatusCode >= 400:
		response.Body = limited{io.LimitReader(response.Body, maxWebhookFailure), response.Body}
		response.ContentLength = -1
	case response.ContentLength > maxWebhookAnswer:
		_ = response.Body.Close()
		return nil, errAnswerTooLarge
	default:
		response.Body = transports.BoundedBody(response.Body, maxWebhookAnswer, errAnswerTooLarge)
	}
	return response, nil
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *guardedTransport) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }

// location returns the target of a redirect without the query, which may hold a secret.
func location(response *http.Response) string {
	u, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		return "an address that cannot be parsed"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

type limited struct {
	io.Reader
	io.Closer
}
