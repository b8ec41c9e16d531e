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
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// DefaultIssuer is the issuer of tokens. It does not depend on the address of the server, so tokens
// outlive a change of address. Its host is a name of every serving certificate that the server
// makes.
const DefaultIssuer = "https://gatehouse"

// The bounds of --service-account-max-token-expiration are those of kube-apiserver.
const (
	minTokenExpiration = time.Hour
	maxTokenExpiration = (1 << 32) * time.Second
)

// StandaloneOptions are the flags of authentication in the standalone mode, besides client
// certificates.
type StandaloneOptions struct {
	// TokenFile holds tokens and users.
	TokenFile string
	// BootstrapTokens accepts the tokens of secrets of the type bootstrap.kubernetes.io/token.
	BootstrapTokens bool
	// ConfigFile has issuers of JSON Web Tokens and paths for requests without credentials.
	ConfigFile string
	// WebhookFile is the kubeconfig of a service that reviews tokens.
	WebhookFile string
	// Accounts are the flags of service account tokens.
	Accounts AccountOptions
	// Proxy are the flags of the front proxy.
	Proxy ProxyOptions
}

// AccountOptions are the flags of service account tokens.
type AccountOptions struct {
	// SigningKeyFile signs tokens; the key in the data directory where empty.
	SigningKeyFile string
	// KeyFiles verify tokens, besides the signing key.
	KeyFiles []string
	// Issuers are accepted in tokens; the first is put into new tokens.
	Issuers []string
	// KeySetURL is the URL of the keys; derived from the server's address where empty.
	KeySetURL string
	// Audiences are accepted in tokens; the issuers where empty.
	Audiences []string
	// MaxExpiration bounds the requested lifetime; no bound where zero.
	MaxExpiration time.Duration
}

// ProxyOptions are the flags of the front proxy.
type ProxyOptions struct {
	// CAFile verifies its certificate; no front proxy where empty.
	CAFile string
	// AllowedNames are the common names of its certificate.
	AllowedNames []string

	UsernameHeaders, UIDHeaders, GroupHeaders, ExtraHeaderPrefixes []string
}

// NewStandaloneOptions returns the defaults.
func NewStandaloneOptions() StandaloneOptions {
	return StandaloneOptions{
		Accounts: AccountOptions{Issuers: []string{DefaultIssuer}},
		Proxy: ProxyOptions{
			UsernameHeaders:     []string{"X-Remote-User"},
			UIDHeaders:          []string{"X-Remote-Uid"},
			GroupHeaders:        []string{"X-Remote-Group"},
			ExtraHeaderPrefixes: []string{"X-Remote-Extra-"},
		},
	}
}

// AddFlags adds the flags to a set.
func (o *StandaloneOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.TokenFile, "token-auth-file", o.TokenFile, "CSV file with a token, a user, a UID and, in quotes, comma separated groups on each line. Read at the start. Such a token never expires: prefer certificates (gatehouse user add).")
	fs.BoolVar(&o.BootstrapTokens, "enable-bootstrap-token-auth", o.BootstrapTokens, "Authenticate tokens ID.SECRET by secrets of type bootstrap.kubernetes.io/token in kube-system, as user system:bootstrap:ID in group system:bootstrappers. The controller token-cleaner deletes the expired ones.")
	o.AddUpFlags(fs)

	a := &o.Accounts
	fs.StringVar(&a.SigningKeyFile, "service-account-signing-key-file", a.SigningKeyFile, "Private key that signs service account tokens. If empty, the key in the data directory, which the first start creates. Replicas must share it.")
	fs.StringArrayVar(&a.KeyFiles, "service-account-key-file", a.KeyFiles, "Additional keys that verify service account tokens: former keys and the next one. The public key of a private key is used. May be given more than once.")
	fs.StringArrayVar(&a.Issuers, "service-account-issuer", a.Issuers, "Issuer of service account tokens, preferably a URL at which clients reach the server. May be given more than once: the first is put into tokens, all are accepted.")
	fs.StringVar(&a.KeySetURL, "service-account-jwks-uri", a.KeySetURL, "URL of the keys in /.well-known/openid-configuration. If empty, it is derived from --external-hostname or the address.")
	fs.StringSliceVar(&a.Audiences, "api-audiences", a.Audiences, "Audiences accepted in tokens, comma separated. If empty, the issuers.")
	fs.DurationVar(&a.MaxExpiration, "service-account-max-token-expiration", a.MaxExpiration, "Maximum lifetime of a service account token. Requests for a longer one get this lifetime and a warning. 0 for no limit.")

	p := &o.Proxy
	fs.StringVar(&p.CAFile, "requestheader-client-ca-file", p.CAFile, "Certificates of the authority that signs the client certificate of a front proxy, which names its users in headers. It must not be the authority of client certificates. If empty, there is no front proxy.")
	fs.StringSliceVar(&p.AllowedNames, "requestheader-allowed-names", p.AllowedNames, "Common names that the client certificate of the front proxy may have, comma separated.")
	fs.StringSliceVar(&p.UsernameHeaders, "requestheader-username-headers", p.UsernameHeaders, "Headers with the user's name, comma separated; the first one present is used.")
	fs.StringSliceVar(&p.UIDHeaders, "requestheader-uid-headers", p.UIDHeaders, "Headers with the user's UID, comma separated.")
	fs.StringSliceVar(&p.GroupHeaders, "requestheader-group-headers", p.GroupHeaders, "Headers with the user's groups, comma separated.")
	fs.StringSliceVar(&p.ExtraHeaderPrefixes, "requestheader-extra-headers-prefix", p.ExtraHeaderPrefixes, "Prefixes of headers that carry extra user attributes, comma separated.")
}

// AddUpFlags adds the flags that gatehouse up has, too.
func (o *StandaloneOptions) AddUpFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "authentication-config", o.ConfigFile, "AuthenticationConfiguration (apiserver.config.k8s.io/v1) with issuers of JSON Web Tokens, such as OpenID Connect providers, and with the paths that need no credentials. Changes of the file take effect without a restart, issuer by issuer. \"gatehouse auth check\" validates it.")
	fs.StringVar(&o.WebhookFile, "authentication-token-webhook-config-file", o.WebhookFile, "Kubeconfig of a service that reviews the bearer tokens that no other authenticator accepts, with TokenReviews of authentication.k8s.io/v1.")
}

// Complete sets the audiences where none are given.
func (o *StandaloneOptions) Complete() {
	if len(o.Accounts.Audiences) == 0 {
		o.Accounts.Audiences = o.Accounts.Issuers
	}
}

// Validate returns an error for each invalid flag.
func (o *StandaloneOptions) Validate(anyProxyName bool) []error {
	var errs []error
	if o.TokenFile != "" {
		errs = append(errs, files.ValidateFlag("token-auth-file", o.TokenFile)...)
	}
	if o.ConfigFile != "" {
		errs = append(errs, files.ValidateFlag("authentication-config", o.ConfigFile)...)
	}
	if o.WebhookFile != "" {
		errs = append(errs, files.ValidateFlag("authentication-token-webhook-config-file", o.WebhookFile)...)
	}
	errs = append(errs, o.Accounts.validate()...)
	return append(errs, o.Proxy.validate(anyProxyName)...)
}

func (a *AccountOptions) validate() []error {
	var errs []error
	if a.SigningKeyFile != "" {
		errs = append(errs, files.ValidateFlag("service-account-signing-key-file", a.SigningKeyFile)...)
	}
	for _, file := range a.KeyFiles {
		errs = append(errs, files.ValidateFlag("service-account-key-file", file)...)
	}
	if len(a.Issuers) == 0 {
		errs = append(errs, fmt.Errorf("--service-account-issuer must name an issuer, such as %s", DefaultIssuer))
	}
	for i, issuer := range a.Issuers {
		switch {
		case issuer == "":
			errs = append(errs, fmt.Errorf("--service-account-issuer must not be empty: use a URL such as %s", DefaultIssuer))
		case slices.Contains(a.Issuers[:i], issuer):
			errs = append(errs, fmt.Errorf("--service-account-issuer=%s is given twice: leave one out", issuer))
		case !isIssuer(issuer):
			errs = append(errs, fmt.Errorf("--service-account-issuer=%s has a colon but is not a URL: use one such as %s", issuer, DefaultIssuer))
		}
	}
	if u, err := url.Parse(a.KeySetURL); a.KeySetURL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		errs = append(errs, fmt.Errorf("--service-account-jwks-uri=%s is not an https URL: use one such as https://gatehouse.example.com/openid/v1/jwks", a.KeySetURL))
	}
	if slices.Contains(a.Audiences, "") {
		errs = append(errs, fmt.Errorf("--api-audiences must not hold an empty name: leave it out"))
	}
	if a.MaxExpiration != 0 && (a.MaxExpiration < minTokenExpiration || a.MaxExpiration > maxTokenExpiration) {
		errs = append(errs, fmt.Errorf("--service-account-max-token-expiration=%s must lie between 1 hour and 2^32 seconds, or be 0 for no bound", a.MaxExpiration))
	}
	return errs
}

// isIssuer follows RFC 7519: an issuer with a colon must be a URI.
func isIssuer(issuer string) bool {
	_, err := url.Parse(issuer)
	return err == nil || !strings.Contains(issuer, ":")
}

func (p *ProxyOptions) validate(anyName bool) []error {
	if p.CAFile == "" {
		var errs []error
		for _, flag := range p.changed() {
			errs = append(errs, fmt.Errorf("--%s has no effect without --requestheader-client-ca-file: there is no front proxy", flag))
		}
		if anyName {
			errs = append(errs, fmt.Errorf("--requestheader-allow-any-name has no effect without --requestheader-client-ca-file: there is no front proxy"))
		}
		return errs
	}
	errs := files.ValidateFlag("requestheader-client-ca-file", p.CAFile)
	if len(p.AllowedNames) == 0 && !anyName {
		errs = append(errs, fmt.Errorf("--requestheader-allowed-names is empty, so any certificate of the front proxy's authority could act as any user: name the common name of the proxy's certificate, or accept it with --requestheader-allow-any-name"))
	}
	if len(p.UsernameHeaders) == 0 {
		errs = append(errs, fmt.Errorf("--requestheader-username-headers must name a header, such as X-Remote-User: without it the front proxy cannot name a user"))
	}
	for _, headers := range []struct {
		flag  string
		names []string
	}{
		{"requestheader-username-headers", p.UsernameHeaders},
		{"requestheader-uid-headers", p.UIDHeaders},
		{"requestheader-group-headers", p.GroupHeaders},
		{"requestheader-extra-headers-prefix", p.ExtraHeaderPrefixes},
	} {
		if slices.Contains(headers.names, "") {
			errs = append(errs, fmt.Errorf("--%s must not hold an empty name: leave it out", headers.flag))
		}
	}
	return errs
}

// changed returns the flags that differ from their default, except the authority.
func (p *ProxyOptions) changed() []string {
	defaults := NewStandaloneOptions().Proxy
	var flags []string
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"requestheader-allowed-names", len(p.AllowedNames) > 0},
		{"requestheader-username-headers", !slices.Equal(p.UsernameHeaders, defaults.UsernameHeaders)},
		{"requestheader-uid-headers", !slices.Equal(p.UIDHeaders, defaults.UIDHeaders)},
		{"requestheader-group-headers", !slices.Equal(p.GroupHeaders, defaults.GroupHeaders)},
		{"requestheader-extra-headers-prefix", !slices.Equal(p.ExtraHeaderPrefixes, defaults.ExtraHeaderPrefixes)},
	} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	return flags
}

// ValidateUnused returns an error for each flag that is set although a cluster authenticates callers.
func (o *StandaloneOptions) ValidateUnused() []error {
	a := o.Accounts
	var errs []error
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"token-auth-file", o.TokenFile != ""},
		{"enable-bootstrap-token-auth", o.BootstrapTokens},
		{"authentication-config", o.ConfigFile != ""},
		{"authentication-token-webhook-config-file", o.WebhookFile != ""},
		{"service-account-signing-key-file", a.SigningKeyFile != ""},
		{"service-account-key-file", len(a.KeyFiles) > 0},
		{"service-account-issuer", !slices.Equal(a.Issuers, []string{DefaultIssuer})},
		{"service-account-jwks-uri", a.KeySetURL != ""},
		{"api-audiences", !slices.Equal(a.Audiences, a.Issuers)},
		{"service-account-max-token-expiration", a.MaxExpiration != 0},
		{"requestheader-client-ca-file", o.Proxy.CAFile != ""},
	} {
		if flag.set {
			errs = append(errs, unusedInCluster(flag.name))
		}
	}
	for _, flag := range o.Proxy.changed() {
		errs = append(errs, unusedInCluster(flag))
	}
	return errs
}

func unusedInCluster(flag string) error {
	return fmt.Errorf("--%s is for --mode=standalone; with --mode=aggregated the cluster authenticates callers: leave it out", flag)
}
