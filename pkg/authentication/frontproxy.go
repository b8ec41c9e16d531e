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

package authentication

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
)

// FrontProxy is a proxy that authenticates users and passes them on in headers. Its own client
// certificate authenticates the proxy.
type FrontProxy struct {
	// CA verifies the proxy's client certificate; it may change while the server runs. It must
	// not be the authority of users (see SharedAuthority).
	CA dynamiccertificates.CAContentProvider
	// AllowedNames are the common names that the certificate may have.
	AllowedNames []string
	// AnyName accepts every certificate of the authority if AllowedNames is empty. Without it, an
	// empty list accepts none.
	AnyName bool
	// The headers that describe the user.
	UsernameHeaders, UIDHeaders, GroupHeaders, ExtraHeaderPrefixes []string
}

// Headers returns the configuration of the library's filter that removes these headers from requests.
func (p FrontProxy) Headers() *authenticatorfactory.RequestHeaderConfig {
	return &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   p.CA,
		UsernameHeaders:     headerrequest.StaticStringSlice(p.UsernameHeaders),
		UIDHeaders:          headerrequest.StaticStringSlice(p.UIDHeaders),
		GroupHeaders:        headerrequest.StaticStringSlice(p.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StaticStringSlice(p.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StaticStringSlice(proxyNames(p.AllowedNames, p.AnyName)),
	}
}

func (p FrontProxy) authenticator(audiences authenticator.Audiences) authenticator.Request {
	headers := p.Headers()
	return frontProxy{
		headers: headers.UsernameHeaders.Value,
		verified: authenticator.WrapAudienceAgnosticRequest(audiences, headerrequest.NewDynamicVerifyOptionsSecure(
			p.CA.VerifyOptions, headers.AllowedClientNames,
			headers.UsernameHeaders, headers.UIDHeaders, headers.GroupHeaders, headers.ExtraHeaderPrefixes,
		)),
	}
}

// SharedAuthority returns the name of an authority that is in both bundles, or an empty string. If the
// front proxy's authority also signs users' certificates, each of these users can impersonate any
// other. Authorities are compared by key: a renewed certificate for the same key is the same one.
func SharedAuthority(one, other []byte) (string, error) {
	first, err := cert.ParseCertsPEM(one)
	if err != nil {
		return "", err
	}
	second, err := cert.ParseCertsPEM(other)
	if err != nil {
		return "", err
	}
	keys := map[string]bool{}
	for _, authority := range first {
		keys[keyOf(authority)] = true
	}
	for _, authority := range second {
		if keys[keyOf(authority)] {
			return authority.Subject.String(), nil
		}
	}
	return "", nil
}

func keyOf(c *x509.Certificate) string { return string(c.RawSubjectPublicKeyInfo) }

// frontProxy authenticates the user in the headers of the front proxy. From any other client such
// headers are a forgery, so it refuses the request, whatever certificate the client has. (The
// library would ignore the headers and use the certificate.)
type frontProxy struct {
	headers  func() []string
	verified authenticator.Request
}

// AuthenticateRequest implements authenticator.Request.
func (p frontProxy) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	named := false
	for _, header := range p.headers() {
		named = named || len(r.Header.Values(header)) > 0
	}
	if !named {
		return nil, false, nil
	}
	response, ok, err := p.verified.AuthenticateRequest(r)
	if err == nil && !ok {
		err = errors.New("no certificate of the front proxy")
	}
	if err != nil {
		return nil, false, fmt.Errorf("the request names a user in headers, but does not come from the front proxy: %w", err)
	}
	return response, true, nil
}

// noProxy is a common name that no certificate has.
const noProxy = "\x00"

// proxyNames returns names, or a name that no certificate has instead of an empty list, which the
// library takes for "any name". In a cluster the list may become empty later, so a check at start is
// not enough.
func proxyNames(names []string, anyName bool) []string {
	if len(names) == 0 && !anyName {
		return []string{noProxy}
	}
	return names
}
