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
	"errors"
	"net/http"
	"net/url"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/structured"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// sequenceVerbosity is the verbosity from which the log has the authenticator of each request. The
// library logs the errors of a request that none authenticates at every verbosity.
const sequenceVerbosity = 4

// named is an authenticator with a name for the log and for errors.
type named struct {
	name    string
	request authenticator.Request
	token   authenticator.Token
	// part returns what of the authenticator decides about a token; nil if all of it does.
	part func(token string) string
	// foreign is true if errors are texts of a webhook.
	foreign bool
}

// foreignError is an error without its text, which a webhook wrote and which may quote the token.
type foreignError struct{ error }

// Error returns no text of the webhook. Its own log has it.
func (foreignError) Error() string { return "the webhook refused the token, or failed: see its log" }

// Unwrap returns the error.
func (e foreignError) Unwrap() error { return e.error }

// byName names an authenticator of requests.
func byName(name string, request authenticator.Request) authenticator.Request {
	return named{name: name, request: request}
}

// byTokenName names an authenticator of tokens.
func byTokenName(name string, token authenticator.Token) authenticator.Token {
	return named{name: name, token: token}
}

// byWebhook names an authenticator of tokens that is a webhook.
func byWebhook(name string, token authenticator.Token) authenticator.Token {
	return named{name: name, token: token, foreign: true}
}

// byIssuer names the issuers of an authenticator of tokens.
func byIssuer(name string, token authenticator.Token) authenticator.Token {
	return named{name: name, token: token, part: structured.IssuerOf}
}

// AuthenticateRequest implements authenticator.Request.
func (n named) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	response, ok, err := n.request.AuthenticateRequest(r)
	return n.record(r.Context(), "", response, ok, err)
}

// AuthenticateToken implements authenticator.Token.
func (n named) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, ok, err := n.token.AuthenticateToken(ctx, token)
	var part string
	if n.part != nil {
		part = n.part(token)
	}
	return n.record(ctx, part, response, ok, err)
}

// record records and logs the result, and adds the name to the error or to the record of the context.
func (n named) record(ctx context.Context, part string, response *authenticator.Response, ok bool, err error) (*authenticator.Response, bool, error) {
	if unreached := (*url.Error)(nil); err != nil && n.foreign && !errors.As(err, &unreached) {
		err = foreignError{err}
	}
	diagnostics.Asked(ctx, origin.Name(n.name, part), ok, err)
	if err != nil {
		err = &origin.Error{By: n.name, Part: part, Err: err}
	} else if ok {
		origin.Accept(ctx, origin.Name(n.name, part))
	}
	logger := klog.FromContext(ctx).V(sequenceVerbosity)
	switch {
	case !logger.Enabled():
	case ok:
		logger.Info("Authenticated request", "by", n.name, "user", response.User.GetName())
	case err != nil:
		logger.Info("Authentication failed", "by", n.name, "reason", err.Error())
	}
	return response, ok, err
}
