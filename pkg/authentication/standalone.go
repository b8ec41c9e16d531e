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
	"slices"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/serviceaccount"
)

// HealthPaths answer every caller, whatever roles say.
var HealthPaths = []string{"/healthz", "/livez", "/readyz"}

// AnonymousPaths are where the standalone mode serves callers that present no credentials, as
// the user system:anonymous in the group system:unauthenticated. Roles decide what that user
// may read: /version by the binding system:public-info-viewer; the discovery of the issuer of
// service accounts' tokens once somebody binds system:service-account-issuer-discovery to the
// group, as in Kubernetes. Every other path answers 401.
var AnonymousPaths = append(slices.Clone(HealthPaths),
	"/version", "/version/", serviceaccount.OpenIDConfigurationPath, serviceaccount.KeySetPath)

// Standalone says how the standalone mode gets to know its callers.
type Standalone struct {
	// ClientCA verifies client certificates; it may change while the server runs.
	ClientCA dynamiccertificates.CAContentProvider
	// FrontProxy names its users in headers; nil for none.
	FrontProxy *FrontProxy
	// Controllers, TokenFile and ServiceAccounts know callers by their token; nil for none.
	Controllers     *Controllers
	TokenFile       authenticator.Token
	ServiceAccounts authenticator.Token
	// Audiences are the names of this server, for which the tokens of Controllers and
	// TokenFile are good: nothing in them says for whom they are.
	Audiences authenticator.Audiences
}

// NewStandalone recognises callers in sequence until one of these does: the front proxy
// that names them in headers, a client certificate (user = CN, groups = O), a token. A token is
// in the header Authorization or, for browsers, a WebSocket subprotocol. AnonymousPaths need
// none of it. Everybody else is a 401.
//
// The second result answers TokenReviews: tokens, and nothing but tokens. It tells of the same
// groups, system:authenticated among them: who asks goes on to ask what such a caller may.
func NewStandalone(c Standalone) (authenticator.Request, authenticator.Token) {
	tokens := c.tokens()
	known := union.New(
		byName("client-certificate", x509.NewDynamic(c.ClientCA.VerifyOptions, userOfCertificate)),
		bearertoken.New(tokens),
		websocket.NewProtocolAuthenticator(tokens),
	)
	if c.FrontProxy != nil {
		known = union.NewFailOnError(byName("front-proxy", c.FrontProxy.authenticator(c.Audiences)), known)
	}
	// The group adder stands around what recognises callers and not around anonymous:
	// system:authenticated means somebody proved who they are.
	return withShortReasons(union.NewFailOnError(group.NewAuthenticatedGroupAdder(known), byName("anonymous", anonymousAt(AnonymousPaths)))),
		group.NewTokenGroupAdder(tokens, []string{user.AllAuthenticated})
}

// tokens asks those first who answer from memory, so that nobody far away learns of tokens
// that are not theirs.
func (c Standalone) tokens() authenticator.Token {
	var list []authenticator.Token
	if c.Controllers != nil {
		list = append(list, byTokenName("controllers", authenticator.WrapAudienceAgnosticToken(c.Audiences, c.Controllers)))
	}
	if c.TokenFile != nil {
		list = append(list, byTokenName("token-file", authenticator.WrapAudienceAgnosticToken(c.Audiences, c.TokenFile)))
	}
	if c.ServiceAccounts != nil {
		list = append(list, byTokenName("service-account", c.ServiceAccounts))
	}
	// Here is the place of OIDC, after service accounts: both read JSON Web Tokens, and one of
	// a stranger may make it fetch keys. A webhook comes last of all, since it is shown
	// whatever nobody else knows.
	return tokenunion.New(list...)
}

// anonymousAt recognises every caller as system:anonymous on some paths. With no condition at
// all the library's authenticator would do so on every path, so the list must never be empty.
func anonymousAt(paths []string) authenticator.Request {
	conditions := make([]apiserver.AnonymousAuthCondition, 0, len(paths))
	for _, path := range paths {
		conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: path})
	}
	return anonymous.NewAuthenticator(conditions)
}
