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

package structured

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/transports"
)

const (
	// cacheTTL is the time for which an accepted token is cached, as kube-apiserver does. A refusal is
	// not cached: the keys of the provider may change.
	cacheTTL = 10 * time.Second
	// providerTimeout bounds one request to a provider, and the verification of one token.
	providerTimeout = 10 * time.Second
	// maxResponse bounds a response of a provider, in bytes: discovery, keys, distributed claims; and that
	// of a token webhook.
	maxResponse = 1 << 20
)

// errTooLarge is the error of a response of more than maxResponse bytes.
var errTooLarge = fmt.Errorf("the response is larger than %d bytes", maxResponse)

// errRetired is the result of an issuer that was replaced while the request was on its way to it.
var errRetired = errors.New("the issuer was replaced")

// issuer is one version of one issuer. It is replaced as a whole.
type issuer struct {
	jwt    apiserver.JWTAuthenticator
	tokens oidc.AuthenticatorTokenWithHealthCheck
	// cached wraps verify. The cache ends with the issuer, so a removed issuer is refused at once.
	cached authenticator.Token
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	running int  // verifications
	retired bool // no new verification starts
}

// newIssuer starts the discovery of the provider, which is repeated every 10 s until it succeeds or
// the context ends.
func newIssuer(ctx context.Context, jwt apiserver.JWTAuthenticator, compiler authenticationcel.Compiler, o Options) (*issuer, error) {
	ctx, cancel := context.WithCancel(ctx)
	client, err := newClient(ctx, jwt.Issuer.CertificateAuthority)
	if err != nil {
		cancel()
		return nil, err
	}
	tokens, err := oidc.New(ctx, oidc.Options{
		JWTAuthenticator: jwt, Client: client, Compiler: compiler, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
		DisallowedIssuers: o.DisallowedIssuers, APIServerID: o.APIServerID,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	i := &issuer{jwt: jwt, tokens: tokens, ctx: ctx, cancel: cancel}
	// The cache contains the wrapper, which writes the audiences into the response.
	i.cached = cache.New(authenticator.WrapAudienceAgnosticToken(o.Audiences, authenticator.TokenFunc(i.verify)), true, cacheTTL, 0)
	return i, nil
}

func (i *issuer) url() string { return i.jwt.Issuer.URL }

// verify verifies a token that is not cached.
func (i *issuer) verify(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if !i.acquire() {
		return nil, false, errRetired
	}
	defer i.release()
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	response, ok, err := i.tokens.AuthenticateToken(ctx, token)
	if err != nil || !ok {
		return nil, false, err
	}
	if err := refuseReserved(response.User); err != nil {
		return nil, false, fmt.Errorf("issuer %s: %w", i.url(), err)
	}
	return response, true, nil
}

// refuseReserved refuses users and groups of the server: service accounts, hosts, controllers and
// administrators. The library accepts them, and kube-apiserver leaves it to each file to refuse them.
func refuseReserved(info user.Info) error {
	if info.GetName() == "" {
		return errors.New("the username is empty: map a claim that every token has")
	}
	if strings.HasPrefix(info.GetName(), reservedPrefix) {
		return fmt.Errorf(`the username %q begins with "system:", which is reserved for the server: set claimMappings.username.prefix`, info.GetName())
	}
	for _, group := range info.GetGroups() {
		if strings.HasPrefix(group, reservedPrefix) {
			return fmt.Errorf(`the group %q begins with "system:", which is reserved for the server: set claimMappings.groups.prefix, or leave it out with an expression`, group)
		}
	}
	return nil
}

// acquire reports whether a verification may start.
func (i *issuer) acquire() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.retired {
		return false
	}
	i.running++
	return true
}

func (i *issuer) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running--; i.retired && i.running == 0 {
		i.cancel()
	}
}

// retire ends the issuer after its last verification. Each takes providerTimeout at most.
func (i *issuer) retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.retired = true; i.running == 0 {
		i.cancel()
	}
}

// newClient returns a client for a provider. Its idle connections are closed when the context ends.
func newClient(ctx context.Context, authority string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		roots, err := cert.NewPoolFromBytes([]byte(authority))
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
	}
	transport := utilnet.SetTransportDefaults(&http.Transport{TLSClientConfig: config})
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	return &http.Client{Transport: BoundResponses(transport), Timeout: providerTimeout}, nil
}

// BoundResponses returns a transport that fails to read more than maxResponse bytes of a response.
func BoundResponses(transport http.RoundTripper) http.RoundTripper {
	return transports.Bounded(transport, maxResponse, errTooLarge)
}
