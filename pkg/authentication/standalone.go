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
	"context"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/serviceaccount"
)

// HealthPaths are served to every client, whatever its roles.
var HealthPaths = []string{"/healthz", "/livez", "/readyz"}

// AnonymousPaths are the paths that the standalone mode serves without credentials, to the user
// system:anonymous in the group system:unauthenticated. Roles decide what that user may read:
// /version by the binding system:public-info-viewer, and issuer discovery once an administrator
// binds system:service-account-issuer-discovery to the group, as in Kubernetes. Every other path
// returns 401.
var AnonymousPaths = append(slices.Clone(HealthPaths),
	"/version", "/version/", serviceaccount.OpenIDConfigurationPath, serviceaccount.KeySetPath)

// Standalone configures authentication in the standalone mode.
type Standalone struct {
	// ClientCA verifies client certificates; it may change while the server runs.
	ClientCA dynamiccertificates.CAContentProvider
	// FrontProxy passes users on in headers; nil for none.
	FrontProxy *FrontProxy
	// Controllers, TokenFile, ServiceAccounts and BootstrapTokens authenticate bearer tokens; nil for
	// none.
	Controllers     *Controllers
	TokenFile       authenticator.Token
	ServiceAccounts authenticator.Token
	BootstrapTokens authenticator.Token
	// Invitations authenticates servers that join the cluster of the embedded etcd; nil for none.
	Invitations authenticator.Token
	// OIDC authenticates tokens of the issuers of a file, and Webhook the tokens that a remote service
	// accepts; nil for none.
	OIDC, Webhook authenticator.Token
	// Anonymous may replace the authenticator of requests without credentials; nil for no change.
	Anonymous func(authenticator.Request) authenticator.Request
	// Audiences are the audiences of this server. The tokens of Controllers, TokenFile and
	// BootstrapTokens, which contain no audience, are valid for them.
	Audiences authenticator.Audiences
}

// NewStandalone authenticates requests by the first of these that succeeds: headers of the front
// proxy, a client certificate (user = CN, groups = O), a token. A token is in the header
// Authorization or, for browsers, in a WebSocket subprotocol. AnonymousPaths need no credentials,
// unless Anonymous decides otherwise. Any other request gets 401.
//
// The second result authenticates tokens only, for TokenReviews. It returns the same groups,
// system:authenticated among them, because clients of TokenReviews continue with a
// SubjectAccessReview for such a user.
func NewStandalone(c Standalone) (authenticator.Request, authenticator.Token) {
	tokens := c.tokens()
	known := union.New(
		byName("client-certificate", byCertificate(c.ClientCA.VerifyOptions)),
		bearertoken.New(tokens),
		websocket.NewProtocolAuthenticator(tokens),
	)
	if c.FrontProxy != nil {
		known = union.NewFailOnError(byName(origin.FrontProxy, c.FrontProxy.authenticator(c.Audiences)), known)
	}
	withoutCredentials := anonymousAt(AnonymousPaths)
	if c.Anonymous != nil {
		withoutCredentials = c.Anonymous(withoutCredentials)
	}
	// The group adder wraps the authenticators and not anonymous: a user of system:authenticated has
	// presented credentials.
	return withShortReasons(union.NewFailOnError(group.NewAuthenticatedGroupAdder(known), byName("anonymous", withoutCredentials))),
		group.NewTokenGroupAdder(tokens, []string{user.AllAuthenticated})
}

// tokens puts the authenticators that work from memory first, so that a remote one does not receive
// tokens of others.
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
	if c.BootstrapTokens != nil {
		list = append(list, byTokenName("bootstrap-token", authenticator.WrapAudienceAgnosticToken(c.Audiences, c.BootstrapTokens)))
	}
	if c.Invitations != nil {
		list = append(list, byTokenName("invitation", authenticator.WrapAudienceAgnosticToken(c.Audiences, c.Invitations)))
	}
	// OIDC is after service accounts: both parse JSON Web Tokens, and OIDC may fetch keys. The webhook is
	// last, because it receives every token that no other authenticator accepts.
	if c.OIDC != nil {
		list = append(list, byIssuer("oidc", c.OIDC))
	}
	if c.Webhook != nil {
		list = append(list, byWebhook("token-webhook", c.Webhook))
	}
	return boundedToken(tokenunion.New(list...))
}

// longestToken bounds a token, in bytes. Tokens of providers with hundreds of groups have less than 20 kB;
// a header may have 1 MB.
const longestToken = 64 << 10

// CheckLength returns an error for a token that is refused because of its length.
func CheckLength(token string) error {
	if len(token) > longestToken {
		return fmt.Errorf("the token has %d bytes, and %d is the limit: reduce its claims", len(token), longestToken)
	}
	return nil
}

// boundedToken refuses long tokens before they are parsed or sent anywhere.
func boundedToken(tokens authenticator.Token) authenticator.Token {
	return authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		if err := CheckLength(token); err != nil {
			return nil, false, err
		}
		return tokens.AuthenticateToken(ctx, token)
	})
}

// anonymousAt authenticates every request to the paths as system:anonymous. Without a condition the
// library's authenticator would do so on every path, so the list must not be empty.
func anonymousAt(paths []string) authenticator.Request {
	conditions := make([]apiserver.AnonymousAuthCondition, 0, len(paths))
	for _, path := range paths {
		conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: path})
	}
	return anonymous.NewAuthenticator(conditions)
}
