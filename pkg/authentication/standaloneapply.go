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
	"net/url"
	"os"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/structured"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// StandaloneInputs are the inputs of StandaloneOptions.Apply besides flags.
type StandaloneInputs struct {
	// ClientCAFile holds the authorities of client certificates.
	ClientCAFile string
	// CertificateDir holds the key that signs tokens where no flag names one.
	CertificateDir string
	// TokenCacheTTL is the time for which the responses of the token webhook are cached.
	TokenCacheTTL time.Duration
	// AnyProxyName accepts any certificate of the front proxy's authority.
	AnyProxyName bool
	// Controllers authenticates the controllers of this process.
	Controllers *Controllers
	// Lookup and Live find the objects on which service account tokens depend, in caches and in
	// the storage.
	Lookup, Live serviceaccount.Lookup
	// Secrets are the secrets of BootstrapTokenNamespace, in memory.
	Secrets corelisters.SecretNamespaceLister
	// Invitations authenticates servers that join the cluster of the embedded etcd; nil for none.
	Invitations authenticator.Token
}

// StandaloneAccess is the result of StandaloneOptions.Apply.
type StandaloneAccess struct {
	// Tokens answers TokenReviews, for Audiences.
	Tokens    authenticator.Token
	Audiences authenticator.Audiences
	// Requests issues service account tokens.
	Requests *serviceaccount.Requests
	// Install serves the discovery of the issuer.
	Install func(*genericapiserver.GenericAPIServer) error
}

// Apply sets the authenticator of a server of the standalone mode and refuses revoked hosts. The
// context ends what the authenticator does in the background.
func (o *StandaloneOptions) Apply(ctx context.Context, generic *genericapiserver.Config, in StandaloneInputs) (*StandaloneAccess, error) {
	callers := Standalone{Controllers: in.Controllers, Audiences: o.Accounts.Audiences, Invitations: in.Invitations}
	var err error
	if callers.ClientCA, callers.FrontProxy, err = o.authorities(in); err != nil {
		return nil, err
	}
	// The TLS handshake requests certificates of these authorities; serving runs their providers.
	if err := generic.Authentication.ApplyClientCert(callers.ClientCA, generic.SecureServing); err != nil {
		return nil, err
	}
	if proxy := callers.FrontProxy; proxy != nil {
		if err := generic.Authentication.ApplyClientCert(proxy.CA, generic.SecureServing); err != nil {
			return nil, err
		}
		// The filter that removes identity headers from requests needs their names.
		generic.Authentication.RequestHeaderConfig = proxy.Headers()
	}
	if callers.TokenFile, err = tokenFile(o.TokenFile); err != nil {
		return nil, err
	}
	access := &StandaloneAccess{Audiences: callers.Audiences}
	if callers.ServiceAccounts, err = o.Accounts.apply(access, in); err != nil {
		return nil, err
	}
	if o.BootstrapTokens {
		callers.BootstrapTokens = bootstrapTokens{cached: in.Secrets, live: in.Live, clock: clock.RealClock{}}
	}
	if err := o.applyRemote(ctx, generic, &callers, in.TokenCacheTTL); err != nil {
		return nil, err
	}
	generic.Authentication.APIAudiences = callers.Audiences
	generic.Authentication.Authenticator, access.Tokens = NewStandalone(callers)
	return access, revocation.Apply(generic, nil)
}

// applyRemote adds the authenticators that depend on other servers.
func (o *StandaloneOptions) applyRemote(ctx context.Context, generic *genericapiserver.Config, callers *Standalone, cacheTTL time.Duration) (err error) {
	if o.WebhookFile != "" {
		if callers.Webhook, err = tokenWebhook(o.WebhookFile, callers.Audiences, cacheTTL); err != nil {
			return fmt.Errorf("--authentication-token-webhook-config-file: %w", err)
		}
	}
	if o.ConfigFile == "" {
		return nil
	}
	issuers, err := structured.New(ctx, structured.Options{
		Path: o.ConfigFile, DisallowedIssuers: o.Accounts.Issuers, Audiences: callers.Audiences, APIServerID: generic.APIServerID, AnonymousPaths: AnonymousPaths,
	})
	if err != nil {
		return fmt.Errorf("--authentication-config: %w", err)
	}
	callers.OIDC, callers.Anonymous = issuers, issuers.Anonymous
	return issuers.Apply(generic)
}

// authorities returns the authority of client certificates, and the front proxy where one is
// configured.
func (o *StandaloneOptions) authorities(in StandaloneInputs) (dynamiccertificates.CAContentProvider, *FrontProxy, error) {
	clientCA, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", in.ClientCAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	p := o.Proxy
	if p.CAFile == "" {
		return clientCA, nil, nil
	}
	proxyCA, err := dynamiccertificates.NewDynamicCAContentFromFile("requestheader-client-ca", p.CAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	shared, err := SharedAuthority(clientCA.CurrentCABundleContent(), proxyCA.CurrentCABundleContent())
	if err != nil {
		return nil, nil, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	if shared != "" {
		return nil, nil, fmt.Errorf("--requestheader-client-ca-file: %s is also an authority of client certificates (%s), so any user with the right name could act as any other: give the front proxy a separate authority", shared, in.ClientCAFile)
	}
	return clientCA, &FrontProxy{
		CA:                  proxyCA,
		AllowedNames:        p.AllowedNames,
		AnyName:             in.AnyProxyName,
		UsernameHeaders:     p.UsernameHeaders,
		UIDHeaders:          p.UIDHeaders,
		GroupHeaders:        p.GroupHeaders,
		ExtraHeaderPrefixes: p.ExtraHeaderPrefixes,
	}, nil
}

// tokenFile reads --token-auth-file; nil where it is not set.
func tokenFile(path string) (authenticator.Token, error) {
	if path == "" {
		return nil, nil
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		klog.Warningf("--token-auth-file: %s is readable by other users (mode %04o), who can act as every user in it: run chmod 0600 on it", path, info.Mode().Perm())
	}
	tokens, err := tokenfile.NewCSV(path)
	if err != nil {
		return nil, fmt.Errorf("--token-auth-file: %w; each line is TOKEN,USER,UID or TOKEN,USER,UID,\"GROUP,GROUP\"", err)
	}
	return tokens, nil
}

// apply builds the authenticator and the issuer of service account tokens from the same keys.
func (a AccountOptions) apply(access *StandaloneAccess, in StandaloneInputs) (authenticator.Token, error) {
	keys, err := a.keys(in.CertificateDir)
	if err != nil {
		return nil, err
	}
	issuer, err := serviceaccount.NewIssuer(a.Issuers[0], keys, clock.RealClock{})
	if err != nil {
		return nil, err
	}
	access.Install = func(server *genericapiserver.GenericAPIServer) error {
		discovery, err := serviceaccount.NewDiscovery(a.Issuers[0], keySetURL(a.KeySetURL, server.ExternalAddress), keys)
		if err != nil {
			klog.Warningf("--service-account-issuer: %v; tokens are valid, but %s is not served", err, serviceaccount.OpenIDConfigurationPath)
			return nil
		}
		discovery.Install(server.Handler.NonGoRestfulMux)
		return nil
	}
	access.Requests = &serviceaccount.Requests{
		Issuer: issuer, Lookup: in.Live, Audiences: a.Audiences, MaxLifetime: a.MaxExpiration,
	}
	return serviceaccount.NewAuthenticator(serviceaccount.Config{
		Issuers: a.Issuers, Audiences: a.Audiences, Keys: keys, Lookup: in.Lookup, Clock: clock.RealClock{},
	}), nil
}

// keys reads the keys of tokens. The signing key is created in dir where no file is given.
func (a AccountOptions) keys(dir string) (*serviceaccount.Keys, error) {
	if a.SigningKeyFile != "" {
		keys, err := serviceaccount.ReadKeys(a.SigningKeyFile, a.KeyFiles...)
		if err != nil {
			return nil, fmt.Errorf("--service-account-signing-key-file, --service-account-key-file: %w", err)
		}
		return keys, nil
	}
	path, warning, err := certificates.EnsureSigningKey(dir)
	if err != nil {
		return nil, files.Flag("data-dir", err)
	}
	if warning != "" {
		klog.Warning(warning)
	}
	if _, err := serviceaccount.ReadKeys(path); err != nil {
		return nil, fmt.Errorf("%w: %s", err, certificates.SigningKeyCure(path))
	}
	keys, err := serviceaccount.ReadKeys(path, a.KeyFiles...)
	if err != nil {
		return nil, fmt.Errorf("--service-account-key-file: %w", err)
	}
	return keys, nil
}

// keySetURL returns the URL at which clients find the keys.
func keySetURL(given, externalAddress string) string {
	if given != "" {
		return given
	}
	return (&url.URL{Scheme: "https", Host: externalAddress, Path: serviceaccount.KeySetPath}).String()
}
