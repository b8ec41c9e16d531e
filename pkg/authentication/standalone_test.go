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
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// webSocket is a request that a browser makes, with a token among its subprotocols: browsers
// cannot set the header Authorization.
func webSocket(token string, more ...string) map[string]string {
	protocols := append([]string{"base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(token))}, more...)
	return map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Protocol": strings.Join(protocols, ", ")}
}

const apiPath = "/apis/fleet.gatehouse.dev/v1alpha1/hosts"

// caller is a request and the user that it must authenticate as; none if user is empty.
type caller struct {
	name        string
	certificate *x509.Certificate
	path        string
	headers     map[string]string

	user   string
	groups []string
	// failed is true for requests with wrong credentials, which get an error.
	failed bool
}

func (c caller) check(t *testing.T, authn authenticator.Request) {
	t.Helper()
	if c.path == "" {
		c.path = apiPath
	}
	answer, ok, err := authn.AuthenticateRequest(request(c.path, c.certificate, c.headers))
	if (err != nil) != c.failed {
		t.Errorf("error %v, want one: %v", err, c.failed)
	}
	if ok != (c.user != "") {
		t.Fatalf("recognised: %v (%v), want %q", ok, answer, c.user)
	}
	if !ok {
		return
	}
	groups := slices.Sorted(slices.Values(answer.User.GetGroups()))
	if answer.User.GetName() != c.user || !slices.Equal(groups, c.groups) {
		t.Errorf("got %s of %v, want %s of %v", answer.User.GetName(), groups, c.user, c.groups)
	}
}

const (
	anonymousUser      = "system:anonymous"
	authenticatedGroup = "system:authenticated"
	anonymousGroup     = "system:unauthenticated"
)

func TestStandaloneAuthenticatesCertificates(t *testing.T) {
	own, other := newAuthority(t, "gatehouse"), newAuthority(t, "gatehouse")
	admin := own.issue(t, "admin", []string{"system:masters", "ops"})
	authn, _ := NewStandalone(Standalone{ClientCA: provider(t, own)})
	for _, c := range []caller{
		{name: "a certificate names the user and the groups", certificate: admin, user: "admin", groups: []string{"ops", authenticatedGroup, "system:masters"}},
		{name: "a certificate without groups makes a user without rights", certificate: own.issue(t, "guest", nil), user: "guest", groups: []string{authenticatedGroup}},
		{name: "a certificate counts on a health path, too", certificate: admin, path: "/readyz", user: "admin", groups: []string{"ops", authenticatedGroup, "system:masters"}},
		{name: "a certificate of another authority is refused, whatever that calls itself", certificate: other.issue(t, "admin", []string{"system:masters"}), failed: true},
		{name: "a wrong certificate is refused on health paths, too", certificate: other.issue(t, "admin", nil), path: "/readyz", failed: true},
		{name: "a certificate that has expired is refused", certificate: own.issue(t, "admin", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }), failed: true},
		{name: "a certificate that is not valid yet is refused", certificate: own.issue(t, "admin", nil, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), failed: true},
		{name: "a server's certificate is refused", certificate: own.issue(t, "admin", nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), failed: true},
		{name: "a certificate without a name is refused", certificate: own.issue(t, "", []string{"system:masters"})},
		{name: "a certificate that names the anonymous user is refused", certificate: own.issue(t, anonymousUser, []string{"system:masters"}), failed: true},
		{name: "a certificate that names the anonymous user is refused on health paths, too", path: "/readyz", certificate: own.issue(t, anonymousUser, nil), failed: true},
		{name: "a certificate that names the group of the unauthenticated is refused", certificate: own.issue(t, "guest", []string{anonymousGroup}), failed: true},
		{name: "no credentials"},
		{name: "an unknown token is refused", headers: map[string]string{"Authorization": "Bearer secret"}, failed: true},
		{name: "an unknown token is refused on health paths, too", path: "/readyz", headers: map[string]string{"Authorization": "Bearer secret"}, failed: true},
		{name: "a password is not looked at", headers: map[string]string{"Authorization": "Basic YWRtaW46YWRtaW4="}},
		{name: "a front proxy's headers are not looked at", headers: map[string]string{"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}},
		{name: "a front proxy's headers do not change the user of a certificate", certificate: own.issue(t, "guest", nil), headers: map[string]string{"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}, user: "guest", groups: []string{authenticatedGroup}},
		{name: "/livez needs no credentials", path: "/livez", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "/readyz needs no credentials", path: "/readyz?verbose", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "/healthz needs no credentials", path: "/healthz", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "/version needs no credentials", path: "/version", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "so does the issuer's discovery", path: "/.well-known/openid-configuration", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "so do the issuer's keys", path: "/openid/v1/jwks", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "what is below the version does not", path: "/version/more"},
		{name: "a single check needs credentials", path: "/readyz/etcd"},
		{name: "metrics need credentials", path: "/metrics"},
		{name: "a path that only begins like a health path does not", path: "/healthzz"},
		{name: "nor does discovery", path: "/apis"},
		{name: "nor the root", path: "/"},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, authn) })
	}
}

// While an authority is exchanged, certificates of the old one and of the new one count.
func TestStandaloneAcceptsEveryAuthorityOfItsBundle(t *testing.T) {
	older, newer := newAuthority(t, "older"), newAuthority(t, "newer")
	authn, _ := NewStandalone(Standalone{ClientCA: provider(t, older, newer)})
	for _, a := range []authority{older, newer} {
		caller{certificate: a.issue(t, "admin", nil), user: "admin", groups: []string{authenticatedGroup}}.check(t, authn)
	}
}

func TestAnonymousIsNeverForEveryPath(t *testing.T) {
	for _, paths := range [][]string{HealthPaths, AnonymousPaths} {
		if len(paths) == 0 {
			t.Fatal("without any path the library's authenticator authenticates every request as anonymous")
		}
		caller{path: apiPath}.check(t, anonymousAt(paths))
	}
}
