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

package transports

import (
	"fmt"
	"net/http"
)

// WithoutRedirects returns a transport that fails where a service of a kubeconfig redirects: http.Client would
// send the request, with its body, to that address, which no certificate authority of the kubeconfig verifies.
func WithoutRedirects(inner http.RoundTripper) http.RoundTripper { return &withoutRedirects{inner} }

type withoutRedirects struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t *withoutRedirects) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil && response.StatusCode >= 300 && response.StatusCode < 400 {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the service redirects (code %d), and redirects are not followed: put the address that responds into the kubeconfig", response.StatusCode)
	}
	return response, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *withoutRedirects) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }
