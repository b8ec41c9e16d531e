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

package options

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// DefaultIssuer is the name in which tokens are issued. It does not depend on where the
// server listens, so that tokens outlive a change of address; its host is a name of every
// serving certificate that the server makes.
const DefaultIssuer = "https://gatehouse"

// The bounds of --service-account-max-token-expiration are those of kube-apiserver.
const (
	minTokenExpiration = time.Hour
	maxTokenExpiration = (1 << 32) * time.Second
)

// Callers say how the standalone mode gets to know who calls, besides client certificates.
type Callers struct {
	// TokenFile holds tokens and users.
	TokenFile string
	// Accounts is about service accounts' tokens.
	Accounts Accounts
	// Proxy is a front proxy.
	Proxy Proxy
}

// Accounts says how service accounts' tokens are signed and known.
type Accounts struct {
	// SigningKeyFile signs; the key in the data directory where empty.
	SigningKeyFile string
	// KeyFiles verify, besides the key that signs.
	KeyFiles []string
	// Issuers are the names of the issuer: the first is put into tokens, all are accepted.
	Issuers []string
	// KeySetURL is where clients find the keys; derived from the server's address where empty.
	KeySetURL string
	// Audiences are the names of this server; the issuers where empty.
	Audiences []string
	// MaxExpiration bounds what may be asked for; no bound where zero.
	MaxExpiration time.Duration
}

// Proxy says who the front proxy is and in which headers it names users.
type Proxy struct {
	// CAFile verifies its certificate; no front proxy where empty.
	CAFile string
	// AllowedNames are the common names of its certificate.
	AllowedNames []string

	UsernameHeaders, UIDHeaders, GroupHeaders, ExtraHeaderPrefixes []string
}

func newCallers() Callers {
	return Callers{
		Accounts: Accounts{Issuers: []string{DefaultIssuer}},
		Proxy: Proxy{
			UsernameHeaders:     []string{"X-Remote-User"},
			UIDHeaders:          []string{"X-Remote-Uid"},
			GroupHeaders:        []string{"X-Remote-Group"},
			ExtraHeaderPrefixes: []string{"X-Remote-Extra-"},
		},
	}
}

func (c *Callers) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.TokenFile, "token-auth-file", c.TokenFile, "CSV file with a token, a user, a UID and, in quotes, comma separated groups on each line. Read at the start. Such a token never ends: certificates (gatehouse user add) are better.")

	a := &c.Accounts
	fs.StringVar(&a.SigningKeyFile, "service-account-signing-key-file", a.SigningKeyFile, "Private key that signs service accounts' tokens. Where empty, the one in the data directory, which the first start makes. Replicas must share it.")
	fs.StringArrayVar(&a.KeyFiles, "service-account-key-file", a.KeyFiles, "Further keys by which service accounts' tokens are known: those of before, and the next. A private key counts as its public half. May be given more than once.")
	fs.StringArrayVar(&a.Issuers, "service-account-issuer", a.Issuers, "Name of the issuer of service accounts' tokens, best a URL at which clients reach the server. May be given more than once: the first is put into tokens, all are accepted.")
	fs.StringVar(&a.KeySetURL, "service-account-jwks-uri", a.KeySetURL, "URL of the keys in /.well-known/openid-configuration. Where empty, derived from --external-hostname or the address.")
	fs.StringSliceVar(&a.Audiences, "api-audiences", a.Audiences, "Names by which tokens mean this server, comma separated. Where empty, the issuers.")
	fs.DurationVar(&a.MaxExpiration, "service-account-max-token-expiration", a.MaxExpiration, "Longest life of a service account's token; who asks for more gets this much and a warning. 0 for no bound.")

	p := &c.Proxy
	fs.StringVar(&p.CAFile, "requestheader-client-ca-file", p.CAFile, "Certificates of the authority that vouches for a front proxy, which names its users in headers. It must not be the authority of client certificates. Where empty, there is no front proxy.")
	fs.StringSliceVar(&p.AllowedNames, "requestheader-allowed-names", p.AllowedNames, "Common names that the front proxy's certificate may carry, comma separated.")
	fs.StringSliceVar(&p.UsernameHeaders, "requestheader-username-headers", p.UsernameHeaders, "Headers with the user's name, comma separated; the first that is there counts.")
	fs.StringSliceVar(&p.UIDHeaders, "requestheader-uid-headers", p.UIDHeaders, "Headers with the user's UID, comma separated.")
	fs.StringSliceVar(&p.GroupHeaders, "requestheader-group-headers", p.GroupHeaders, "Headers with the user's groups, comma separated.")
	fs.StringSliceVar(&p.ExtraHeaderPrefixes, "requestheader-extra-headers-prefix", p.ExtraHeaderPrefixes, "What headers with more about the user begin with, comma separated.")
}

// complete derives the audiences.
func (c *Callers) complete() {
	if len(c.Accounts.Audiences) == 0 {
		c.Accounts.Audiences = c.Accounts.Issuers
	}
}

func (c *Callers) validate(anyProxyName bool) []error {
	var errs []error
	if c.TokenFile != "" {
		errs = append(errs, readable("token-auth-file", c.TokenFile)...)
	}
	errs = append(errs, c.Accounts.validate()...)
	return append(errs, c.Proxy.validate(anyProxyName)...)
}

func (a *Accounts) validate() []error {
	var errs []error
	if a.SigningKeyFile != "" {
		errs = append(errs, readable("service-account-signing-key-file", a.SigningKeyFile)...)
	}
	for _, file := range a.KeyFiles {
		errs = append(errs, readable("service-account-key-file", file)...)
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
			errs = append(errs, fmt.Errorf("--service-account-issuer=%s has a colon, but is no URL: use one such as %s", issuer, DefaultIssuer))
		}
	}
	if u, err := url.Parse(a.KeySetURL); a.KeySetURL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		errs = append(errs, fmt.Errorf("--service-account-jwks-uri=%s is no https URL: use one such as https://gatehouse.example.com/openid/v1/jwks", a.KeySetURL))
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

func (p *Proxy) validate(anyName bool) []error {
	if p.CAFile == "" {
		var errs []error
		for _, flag := range p.changed() {
			errs = append(errs, fmt.Errorf("--%s is of no use without --requestheader-client-ca-file: nobody is the front proxy", flag))
		}
		if anyName {
			errs = append(errs, fmt.Errorf("--requestheader-allow-any-name is of no use without --requestheader-client-ca-file: nobody is the front proxy"))
		}
		return errs
	}
	errs := readable("requestheader-client-ca-file", p.CAFile)
	if len(p.AllowedNames) == 0 && !anyName {
		errs = append(errs, fmt.Errorf("--requestheader-allowed-names is empty, so any certificate of the front proxy's authority could act as anybody: name the common name of the proxy's certificate, or accept it with --requestheader-allow-any-name"))
	}
	if len(p.UsernameHeaders) == 0 {
		errs = append(errs, fmt.Errorf("--requestheader-username-headers must name a header, such as X-Remote-User: without it the front proxy cannot name anybody"))
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

// changed are the flags that are not at their default, without the authority.
func (p *Proxy) changed() []string {
	defaults := newCallers().Proxy
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

func (c *Callers) validateUnused() []error {
	a := c.Accounts
	var errs []error
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"token-auth-file", c.TokenFile != ""},
		{"service-account-signing-key-file", a.SigningKeyFile != ""},
		{"service-account-key-file", len(a.KeyFiles) > 0},
		{"service-account-issuer", !slices.Equal(a.Issuers, []string{DefaultIssuer})},
		{"service-account-jwks-uri", a.KeySetURL != ""},
		{"api-audiences", !slices.Equal(a.Audiences, a.Issuers)},
		{"service-account-max-token-expiration", a.MaxExpiration != 0},
		{"requestheader-client-ca-file", c.Proxy.CAFile != ""},
	} {
		if flag.set {
			errs = append(errs, unusedInCluster(flag.name))
		}
	}
	for _, flag := range c.Proxy.changed() {
		errs = append(errs, unusedInCluster(flag))
	}
	return errs
}

func unusedInCluster(flag string) error {
	return fmt.Errorf("--%s is for --mode=standalone; with --mode=aggregated the cluster says who callers are: leave it out", flag)
}
