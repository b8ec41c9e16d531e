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

package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
)

// applyStandalone configures authentication and authorization of the standalone mode: stages 1 and
// 2. It returns the inputs of Kubernetes' own kinds, the issuer of service account tokens, and the
// check that roles have been read.
func applyStandalone(o options.CompletedOptions, bundle *certificates.Bundle, controllers *authentication.Controllers, bound *bindings, generic *genericapiserver.Config) (*apiserver.Builtins, tokenrequest.Issuer, healthz.HealthChecker, error) {
	callers := authentication.Standalone{Controllers: controllers, Audiences: o.Callers.Accounts.Audiences}
	var err error
	if callers.ClientCA, callers.FrontProxy, err = authorities(o, bundle); err != nil {
		return nil, nil, nil, err
	}
	// What is trusted here is also what the server asks for in the TLS handshake; serving runs
	// and follows these providers.
	if err := generic.Authentication.ApplyClientCert(callers.ClientCA, generic.SecureServing); err != nil {
		return nil, nil, nil, err
	}
	if proxy := callers.FrontProxy; proxy != nil {
		if err := generic.Authentication.ApplyClientCert(proxy.CA, generic.SecureServing); err != nil {
			return nil, nil, nil, err
		}
		// The filter that strips identity headers from requests must know what they are called.
		generic.Authentication.RequestHeaderConfig = proxy.Headers()
	}
	if callers.TokenFile, err = tokenFile(o.Callers.TokenFile); err != nil {
		return nil, nil, nil, err
	}
	informers, lookup := apiserver.NewStoreInformers(), &apiserver.StoreLookup{}
	accounts, err := newAccounts(o, bundle, lookup)
	if err != nil {
		return nil, nil, nil, err
	}
	callers.ServiceAccounts = accounts.authenticator
	generic.Authentication.APIAudiences = callers.Audiences
	authenticator, tokens := authentication.NewStandalone(callers)
	generic.Authentication.Authenticator = authenticator
	if err := applyRevocation(generic, nil); err != nil {
		return nil, nil, nil, err
	}
	roles, escalation, err := applyRoles(o, informers, bound, generic)
	if err != nil {
		return nil, nil, nil, err
	}
	scheme, codecs := apiserver.NewBuiltinScheme()
	return &apiserver.Builtins{
		Scheme:     scheme,
		Codecs:     codecs,
		Informers:  informers,
		Lookup:     lookup,
		Tokens:     tokens,
		Audiences:  callers.Audiences,
		Authorizer: generic.Authorization.Authorizer,
		Rules:      roles,
		Escalation: escalation,
		EventTTL:   o.EventTTL,
		Paths:      accounts.installDiscovery,
		Bootstrap:  bootstrapRoles(),
	}, accounts.issuer, rolesRead(roles), nil
}

// applyRoles configures authorization and returns the roles, and the check of writes that grant
// rights.
func applyRoles(o options.CompletedOptions, informers *apiserver.StoreInformers, bound *bindings, generic *genericapiserver.Config) (*rbac.Authorizer, *rbac.Escalation, error) {
	roles, err := rbac.New(informers.Factory.Rbac().V1())
	if err != nil {
		return nil, nil, err
	}
	hosts, err := host.New(bound, host.Options{ApproveRegistration: o.ApproveHosts()})
	if err != nil {
		return nil, nil, err
	}
	generic.Authorization.Authorizer, err = authorization.NewStandalone(authorization.Standalone{HealthPaths: authentication.HealthPaths, Hosts: hosts, Roles: roles})
	if err != nil {
		return nil, nil, err
	}
	generic.RuleResolver = roles
	escalation, err := rbac.NewEscalation(roles, generic.Authorization.Authorizer)
	return roles, escalation, err
}

// rolesRead returns the check that roles have been read: before, valid rights would be refused.
func rolesRead(roles *rbac.Authorizer) healthz.HealthChecker {
	return healthz.NamedCheck("roles", func(*http.Request) error {
		if !roles.HasSynced() {
			return errors.New("roles and bindings have not been read yet")
		}
		return nil
	})
}

// bootstrapRoles returns the roles and bindings that exist from the first start.
func bootstrapRoles() []apiserver.BootstrapObject {
	var objects []apiserver.BootstrapObject
	for _, object := range rbac.BootstrapObjects(controllerRoles()) {
		objects = append(objects, apiserver.BootstrapObject{
			Resource: rbacv1.Resource(object.Resource), Object: object.Object, Reconcile: object.Reconcile,
		})
	}
	return objects
}

// authorities are who vouches for users, and the front proxy where there is one.
func authorities(o options.CompletedOptions, bundle *certificates.Bundle) (dynamiccertificates.CAContentProvider, *authentication.FrontProxy, error) {
	caFile := o.ClientCAFile
	if caFile == "" {
		caFile = bundle.CAFile
	}
	clientCA, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", caFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	p := o.Callers.Proxy
	if p.CAFile == "" {
		return clientCA, nil, nil
	}
	proxyCA, err := dynamiccertificates.NewDynamicCAContentFromFile("requestheader-client-ca", p.CAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	shared, err := authentication.SharedAuthority(clientCA.CurrentCABundleContent(), proxyCA.CurrentCABundleContent())
	if err != nil {
		return nil, nil, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	if shared != "" {
		return nil, nil, fmt.Errorf("--requestheader-client-ca-file: %s is also an authority of client certificates (%s), so any user with the right name could act as anybody: give the front proxy an authority of its own", shared, caFile)
	}
	return clientCA, &authentication.FrontProxy{
		CA:                  proxyCA,
		AllowedNames:        p.AllowedNames,
		AnyName:             o.Cluster.AnyProxyName,
		UsernameHeaders:     p.UsernameHeaders,
		UIDHeaders:          p.UIDHeaders,
		GroupHeaders:        p.GroupHeaders,
		ExtraHeaderPrefixes: p.ExtraHeaderPrefixes,
	}, nil
}

// tokenFile reads --token-auth-file; nil where there is none.
func tokenFile(path string) (authenticator.Token, error) {
	if path == "" {
		return nil, nil
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		klog.Warningf("--token-auth-file: %s is open to other users (mode %04o), who can act as everybody in it: run chmod 0600 on it", path, info.Mode().Perm())
	}
	tokens, err := tokenfile.NewCSV(path)
	if err != nil {
		return nil, fmt.Errorf("--token-auth-file: %w; each line is TOKEN,USER,UID or TOKEN,USER,UID,\"GROUP,GROUP\"", err)
	}
	return tokens, nil
}

// accounts verify and issue tokens of service accounts with the same keys.
type accounts struct {
	authenticator *serviceaccount.Authenticator
	issuer        *serviceaccount.Requests
	// installDiscovery serves the OpenID configuration and the keys.
	installDiscovery func(*genericapiserver.GenericAPIServer) error
}

func newAccounts(o options.CompletedOptions, bundle *certificates.Bundle, lookup *apiserver.StoreLookup) (*accounts, error) {
	a := o.Callers.Accounts
	keys, err := signingKeys(a, bundle.Dir)
	if err != nil {
		return nil, err
	}
	issuer, err := serviceaccount.NewIssuer(a.Issuers[0], keys, clock.RealClock{})
	if err != nil {
		return nil, err
	}
	return &accounts{
		authenticator: serviceaccount.NewAuthenticator(serviceaccount.Config{
			Issuers: a.Issuers, Audiences: a.Audiences, Keys: keys, Lookup: lookup, Clock: clock.RealClock{},
		}),
		issuer: &serviceaccount.Requests{Issuer: issuer, Lookup: lookup.Live(), Audiences: a.Audiences, MaxLifetime: a.MaxExpiration},
		installDiscovery: func(server *genericapiserver.GenericAPIServer) error {
			discovery, err := serviceaccount.NewDiscovery(a.Issuers[0], keySetURL(a.KeySetURL, server.ExternalAddress), keys)
			if err != nil {
				klog.Warningf("--service-account-issuer: %v; tokens are good, but %s is not served", err, serviceaccount.OpenIDConfigurationPath)
				return nil
			}
			discovery.Install(server.Handler.NonGoRestfulMux)
			return nil
		},
	}, nil
}

// signingKeys reads the keys of tokens; the one that signs is made where none is named.
func signingKeys(a options.Accounts, dir string) (*serviceaccount.Keys, error) {
	if a.SigningKeyFile != "" {
		keys, err := serviceaccount.ReadKeys(a.SigningKeyFile, a.KeyFiles...)
		if err != nil {
			return nil, fmt.Errorf("--service-account-signing-key-file, --service-account-key-file: %w", err)
		}
		return keys, nil
	}
	path, warning, err := certificates.EnsureSigningKey(dir)
	if err != nil {
		return nil, err
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

// keySetURL is where clients find the keys.
func keySetURL(given, externalAddress string) string {
	if given != "" {
		return given
	}
	return (&url.URL{Scheme: "https", Host: externalAddress, Path: serviceaccount.KeySetPath}).String()
}
