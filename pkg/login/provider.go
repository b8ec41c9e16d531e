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

package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	oidc "github.com/coreos/go-oidc"
	"golang.org/x/oauth2"

	"github.com/gatehouse-dev/gatehouse/pkg/transports"
)

const (
	// requestTimeout bounds a request to the provider.
	requestTimeout = 30 * time.Second
	// longestResponse bounds a response of the provider, in bytes.
	longestResponse = 1 << 20
)

// errTooLarge is the error of a response of more than longestResponse bytes.
var errTooLarge = fmt.Errorf("the response of the provider is larger than %d bytes", longestResponse)

// provider is the discovered provider of a login.
type provider struct {
	options  *Options
	client   *http.Client
	verifier *oidc.IDTokenVerifier
	oauth    oauth2.Config
	metadata metadata
}

// metadata are the fields of the discovery document that go-oidc does not have.
type metadata struct {
	AuthURL         string   `json:"authorization_endpoint"`
	TokenURL        string   `json:"token_endpoint"`
	DeviceURL       string   `json:"device_authorization_endpoint"`
	Scopes          []string `json:"scopes_supported"`
	NamesItselfBack bool     `json:"authorization_response_iss_parameter_supported"`
}

// discover reads the provider's discovery document.
func (o *Options) discover(ctx context.Context) (*provider, error) {
	secret, err := o.secret()
	if err != nil {
		return nil, err
	}
	p := &provider{options: o}
	if p.client, err = o.httpClient(); err != nil {
		return nil, err
	}
	found, err := oidc.NewProvider(p.context(ctx), o.Issuer)
	if err != nil {
		return nil, o.unreachable(err)
	}
	if err := found.Claims(&p.metadata); err != nil {
		return nil, o.unreachable(err)
	}
	for _, endpoint := range []struct {
		name, url string
		optional  bool
	}{
		{"authorization_endpoint", p.metadata.AuthURL, false},
		{"token_endpoint", p.metadata.TokenURL, false},
		{"device_authorization_endpoint", p.metadata.DeviceURL, true},
	} {
		if endpoint.optional && endpoint.url == "" {
			continue
		}
		if u, err := url.Parse(endpoint.url); err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("--issuer-url=%s: %s of the provider is %q, and must be an https URL: correct the provider", o.Issuer, endpoint.name, printable(endpoint.url))
		}
	}
	p.verifier = found.Verifier(&oidc.Config{ClientID: o.ClientID})
	endpoint := found.Endpoint()
	endpoint.DeviceAuthURL = p.metadata.DeviceURL
	p.oauth = oauth2.Config{ClientID: o.ClientID, ClientSecret: secret, Endpoint: endpoint, Scopes: []string{oidc.ScopeOpenID}}
	for _, scope := range o.Scopes {
		if scope != oidc.ScopeOpenID && (scope != oidc.ScopeOfflineAccess || p.supportsOfflineAccess()) {
			p.oauth.Scopes = append(p.oauth.Scopes, scope)
		}
	}
	return p, nil
}

// supportsOfflineAccess reports whether a refresh token may be requested by scope. A provider that lists no
// scopes may support it.
func (p *provider) supportsOfflineAccess() bool {
	return len(p.metadata.Scopes) == 0 || slices.Contains(p.metadata.Scopes, oidc.ScopeOfflineAccess)
}

// context returns a context with the client for go-oidc and oauth2.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// httpClient returns a client that verifies the provider, follows no redirect and reads bounded responses.
// A redirect would send codes and secrets to another server.
func (o *Options) httpClient() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		authorities := x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s has no certificate in PEM: write the authority of the provider to it", o.CAFile)
		}
		transport.TLSClientConfig.RootCAs = authorities
	}
	return &http.Client{
		Transport:     transports.Bounded(transport, longestResponse, errTooLarge),
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// tokens verifies the ID token in a response of the token endpoint. nonce is empty if the flow has none.
func (p *provider) tokens(ctx context.Context, response *oauth2.Token, nonce string) (*entry, error) {
	raw, ok := response.Extra("id_token").(string)
	if !ok {
		return nil, errNoIDToken
	}
	token, err := p.verifier.Verify(p.context(ctx), raw)
	if err != nil {
		return nil, p.invalid(err)
	}
	if nonce != "" && token.Nonce != nonce {
		return nil, p.invalid(errors.New("its nonce is not that of this login"))
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(response.AccessToken); err != nil {
			return nil, p.invalid(err)
		}
	}
	return &entry{IDToken: raw, RefreshToken: response.RefreshToken, Subject: token.Subject, Expiry: token.Expiry}, nil
}
