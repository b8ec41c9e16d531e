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
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	oidc "github.com/coreos/go-oidc"
	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// defaultTimeout bounds one login, with the time that a user needs for passwords and second factors.
	defaultTimeout = 5 * time.Minute
	// loopback is the default host of the redirect URL, as RFC 8252 recommends.
	loopback = "127.0.0.1"
)

// Options are the flags that describe a login.
type Options struct {
	// Issuer is the URL of the provider. It is the claim iss of tokens.
	Issuer string
	// ClientID identifies this client at the provider. It is the audience of tokens.
	ClientID string
	// ClientSecretFile has the secret of the client; empty for a public client.
	ClientSecretFile string
	// Scopes are requested besides openid.
	Scopes []string
	// CAFile has the authorities that may certify the provider; those of the machine if empty.
	CAFile string
	// RedirectHost and ListenPort are where the browser returns to; a free port if 0.
	RedirectHost string
	ListenPort   int
	// Device selects the device flow.
	Device bool
	// NoBrowser prints the link, and opens no browser.
	NoBrowser bool
	// Timeout bounds a login.
	Timeout time.Duration
	// CacheDir has the cached tokens; that of the user if empty.
	CacheDir string
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{Scopes: []string{oidc.ScopeOfflineAccess}, RedirectHost: loopback, Timeout: defaultTimeout}
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Issuer, "issuer-url", o.Issuer, "URL of the provider: issuer.url in the file of --authentication-config.")
	fs.StringVar(&o.ClientID, "client-id", o.ClientID, "ID of the client at the provider: one of issuer.audiences in the file of --authentication-config.")
	fs.StringVar(&o.ClientSecretFile, "client-secret-file", o.ClientSecretFile, "File with the secret of the client. Leave it out for a public client, which needs none.")
	fs.StringSliceVar(&o.Scopes, "scopes", o.Scopes, "Scopes to request besides openid. offline_access requests a refresh token, and is left out if the provider does not support it.")
	fs.StringVar(&o.CAFile, "ca-file", o.CAFile, "File with the authorities that may certify the provider. If empty, those that this machine trusts.")
	fs.StringVar(&o.RedirectHost, "redirect-host", o.RedirectHost, "Host of the redirect URL http://HOST:PORT/callback: 127.0.0.1, or localhost for a provider that permits only this name.")
	fs.IntVar(&o.ListenPort, "listen-port", o.ListenPort, "Port of the redirect URL, for a provider that permits only registered ones; 0 for any free port.")
	fs.BoolVar(&o.Device, "device", o.Device, "Log in with a code on another device (device flow). It is the default on a machine without a browser, if the provider supports it.")
	fs.BoolVar(&o.NoBrowser, "no-browser", o.NoBrowser, "Print the link to visit, and open no browser.")
	fs.DurationVar(&o.Timeout, "timeout", o.Timeout, "How long to wait for the user to log in.")
	fs.StringVar(&o.CacheDir, "cache-dir", o.CacheDir, "Directory of the cached tokens. If empty, gatehouse/login in the user's cache directory ($XDG_CACHE_HOME or ~/.cache).")
}

// Validate returns all errors, each with its flag.
func (o *Options) Validate() (errs []error) {
	if o.Issuer == "" {
		errs = append(errs, errors.New("--issuer-url is required: it is the provider's URL, such as https://sso.example.com"))
	} else if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, fmt.Errorf("--issuer-url=%s: it must be an https URL without a user, query or fragment, such as https://sso.example.com", o.Issuer))
	}
	if o.ClientID == "" {
		errs = append(errs, errors.New("--client-id is required: register a client at the provider"))
	}
	if slices.Contains(o.Scopes, "") {
		errs = append(errs, errors.New("--scopes: a scope is empty: separate scopes by one comma each"))
	}
	if !slices.Contains([]string{loopback, "localhost"}, o.RedirectHost) {
		errs = append(errs, fmt.Errorf("--redirect-host=%s: it must be 127.0.0.1 or localhost", o.RedirectHost))
	}
	if o.ListenPort < 0 || o.ListenPort > 65535 {
		errs = append(errs, fmt.Errorf("--listen-port=%d: it must be a port from 1 to 65535, or 0 for any", o.ListenPort))
	}
	if o.Device && o.NoBrowser {
		errs = append(errs, errors.New("--device and --no-browser exclude each other: the device flow opens no browser"))
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout=%s: it must be more than 0", o.Timeout))
	}
	if o.ClientSecretFile != "" {
		errs = append(errs, files.ValidateFlag("client-secret-file", o.ClientSecretFile)...)
	}
	return errs
}

// arguments returns the arguments of "gatehouse user login" that mean these options: those that differ from
// the defaults, with absolute paths.
func (o *Options) arguments() ([]string, error) {
	arguments := []string{"--issuer-url=" + o.Issuer, "--client-id=" + o.ClientID}
	for _, file := range []struct{ flag, path string }{
		{"--client-secret-file", o.ClientSecretFile}, {"--ca-file", o.CAFile}, {"--cache-dir", o.CacheDir},
	} {
		if file.path == "" {
			continue
		}
		path, err := filepath.Abs(file.path)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", file.flag, file.path, err)
		}
		arguments = append(arguments, file.flag+"="+path)
	}
	defaults := NewOptions()
	for _, given := range []struct {
		flag, value string
		differs     bool
	}{
		{"--scopes", strings.Join(o.Scopes, ","), !slices.Equal(o.Scopes, defaults.Scopes)},
		{"--redirect-host", o.RedirectHost, o.RedirectHost != defaults.RedirectHost},
		{"--listen-port", strconv.Itoa(o.ListenPort), o.ListenPort != defaults.ListenPort},
		{"--device", "true", o.Device},
		{"--no-browser", "true", o.NoBrowser},
		{"--timeout", o.Timeout.String(), o.Timeout != defaults.Timeout},
	} {
		if given.differs {
			arguments = append(arguments, given.flag+"="+given.value)
		}
	}
	return arguments, nil
}

// secret returns the secret of the client; empty for a public client.
func (o *Options) secret() (string, error) {
	if o.ClientSecretFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(o.ClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("--client-secret-file: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("--client-secret-file: %s is empty: write the client's secret to it, or leave the flag out for a public client", o.ClientSecretFile)
	}
	return secret, nil
}
