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
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/oauth2"
)

// longestText bounds the text of a provider in a message, in bytes.
const longestText = 300

// Flows in words, for messages.
const (
	codeFlow   = "authorization code flow"
	deviceFlow = "device flow"
	refreshing = "refresh token"
)

// errNoIDToken is a response without an ID token.
var errNoIDToken = errors.New("the provider sent no ID token: it supports OAuth 2.0 only, or the client is not set up for OpenID Connect")

// printable returns text of the provider for a terminal: without control characters, in one row and bounded.
func printable(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)), " ")
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + "..."
	}
	return text
}

// unreachable returns the error of a provider that cannot be used, with the flag and the cure.
func (o *Options) unreachable(err error) error {
	flag := "--issuer-url=" + o.Issuer
	reason := printable(err.Error())
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &authority) && o.CAFile != "":
		return fmt.Errorf("--ca-file=%s: the certificate of %s is not certified by it: %s", o.CAFile, o.Issuer, reason)
	case errors.As(err, &authority):
		return fmt.Errorf("%s: this machine does not trust the authority of the provider: name its file with --ca-file: %s", flag, reason)
	case errors.As(err, &name):
		return fmt.Errorf("%s: the certificate of the provider is for another host: %s", flag, reason)
	case errors.As(err, &network):
		return fmt.Errorf("%s: the provider cannot be reached: check that it runs, and the network and proxies of this machine: %s", flag, reason)
	case strings.Contains(err.Error(), "issuer did not match"):
		return fmt.Errorf("%s: the provider has another URL; use exactly the one that it expects, with or without the last slash: %s", flag, reason)
	case strings.HasPrefix(err.Error(), "5"):
		return fmt.Errorf("%s: the provider is not in order: try again later: %s", flag, reason)
	}
	return fmt.Errorf("%s: it is not the URL of a provider: there must be a discovery document at /.well-known/openid-configuration below it: %s", flag, reason)
}

// invalid returns the error of an ID token that is refused here.
func (p *provider) invalid(err error) error {
	reason := printable(err.Error())
	switch {
	case strings.Contains(reason, "token is expired"), strings.Contains(reason, "before the nbf"):
		return fmt.Errorf("the ID token is not valid now: the clocks of this machine and of %s differ: synchronize them: %s", p.options.Issuer, reason)
	case strings.Contains(reason, "expected audience"):
		return fmt.Errorf("--client-id=%s: the ID token is for another client: %s", p.options.ClientID, reason)
	}
	return fmt.Errorf("the ID token of %s is not valid: %s", p.options.Issuer, reason)
}

// refused returns the error of a request to the provider, with the flag and the cure. what is the request in
// words.
func (p *provider) refused(ctx context.Context, what string, err error) error {
	var response *oauth2.RetrieveError
	var request *url.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return p.options.timedOut(what, "")
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("the login at %s was interrupted: %w", p.options.Issuer, context.Canceled)
	case errors.As(err, &request):
		return p.options.unreachable(err)
	case !errors.As(err, &response):
		return fmt.Errorf("the response of %s to the %s is not valid: %s", p.options.Issuer, what, printable(err.Error()))
	}
	reason := response.ErrorCode
	if response.ErrorDescription != "" {
		reason += ": " + response.ErrorDescription
	}
	if reason == "" {
		reason = response.Response.Status
	}
	code := response.ErrorCode
	if status := response.Response.StatusCode; code == "" && (status == http.StatusTooManyRequests || status >= http.StatusInternalServerError) {
		// Without an error of the provider itself: a proxy in front of it, or its limit of requests. Some providers
		// send their errors with the status 500, such as that of an unknown client.
		code = "temporarily_unavailable"
	}
	return p.refusal(what, code, reason)
}

// refusal returns the error for an error code of OAuth (RFC 6749, 4.1.2.1 and 5.2, RFC 8628, 3.5).
func (p *provider) refusal(what, code, reason string) error {
	o, reason := p.options, printable(reason)
	switch code {
	case "access_denied":
		return fmt.Errorf("the login was denied by the user or the provider (%s): run the command again to allow it", reason)
	case "temporarily_unavailable":
		return fmt.Errorf("--issuer-url=%s: the provider is busy or not in order: try again later: %s", o.Issuer, reason)
	case "expired_token":
		return o.timedOut(what, " ("+reason+")")
	case "invalid_client":
		if o.ClientSecretFile == "" {
			return fmt.Errorf("--client-id=%s: %s does not accept the client (%s): check the ID, and name the secret with --client-secret-file if the client has one", o.ClientID, o.Issuer, reason)
		}
		return fmt.Errorf("--client-id=%s: %s does not accept the client (%s): check the ID, and the secret in --client-secret-file", o.ClientID, o.Issuer, reason)
	case "unauthorized_client", "unsupported_grant_type", "unsupported_response_type":
		return fmt.Errorf("--client-id=%s: the client may not use the %s (%s): permit it at %s", o.ClientID, what, reason, o.Issuer)
	case "invalid_scope":
		return fmt.Errorf("--scopes=%s: %s refuses them (%s): request others", strings.Join(o.Scopes, ","), o.Issuer, reason)
	}
	return fmt.Errorf("%s refused the %s for --client-id=%s: %s", o.Issuer, what, o.ClientID, reason)
}

// timedOut returns the error of a login that the user did not complete by a flow.
func (o *Options) timedOut(what, more string) error {
	err := fmt.Errorf("the login at %s was not completed in time%s: run the command again; --timeout=%s bounds the wait", o.Issuer, more, o.Timeout)
	if what == codeFlow {
		return fmt.Errorf("%w. If the provider shows an error, check --client-id, and that the client permits the redirect URL http://%s/callback with any port, or else name the permitted one with --listen-port", err, o.RedirectHost)
	}
	return err
}
