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

package diagnostics

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// WithRequestInfo returns a resolver that records what requests ask for. It is the only part of the chain
// that runs for every request.
func WithRequestInfo(resolver request.RequestInfoResolver) request.RequestInfoResolver {
	return requestInfo{resolver}
}

type requestInfo struct{ request.RequestInfoResolver }

// NewRequestInfo implements request.RequestInfoResolver.
func (i requestInfo) NewRequestInfo(r *http.Request) (*request.RequestInfo, error) {
	info, err := i.RequestInfoResolver.NewRequestInfo(r)
	if record := From(r.Context()); record != nil && err == nil {
		record.setTarget(info)
	}
	return info, err
}

// WithAuthenticator records the result of the whole authenticator of the chain. The authenticators in it
// call Asked.
func WithAuthenticator(all authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		record := From(r.Context())
		if record == nil {
			return all.AuthenticateRequest(r)
		}
		record.Enter(Authentication)
		response, ok, err := all.AuthenticateRequest(r)
		record.authenticatedAs(response, ok && err == nil, r)
		return response, ok, err
	})
}

// Asked records the response of an authenticator with a name.
func Asked(ctx context.Context, name string, ok bool, err error) {
	record := From(ctx)
	if record == nil {
		return
	}
	record.mu.Lock()
	defer record.mu.Unlock()
	switch {
	case record.closed:
	case ok && err == nil:
		record.part = name
	case err != nil:
		// The reason is redacted when the result is known.
		record.add(Stop{Gate: Authentication, Verdict: NoOpinion, By: name, Reason: bounded(err.Error(), 4*longestReason)})
	case len(record.asked) < mostAsked:
		record.asked = append(record.asked, name)
	}
}

// authenticatedAs records the user. The errors of authenticators may quote the credentials.
func (r *Record) authenticatedAs(response *authenticator.Response, ok bool, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for i := range r.stops {
		if r.stops[i].Gate == Authentication {
			r.stops[i].Reason = bounded(redactor(request)(r.stops[i].Reason), longestReason)
		}
	}
	latency := r.spent[Authentication] + time.Since(r.since)
	if !ok || response == nil {
		r.add(Stop{Gate: Authentication, Verdict: Refused, Latency: latency})
		return
	}
	by := r.part
	if by == "" {
		by = "loopback" // the library's own authenticator of the server's client
	}
	r.authenticated = identityOf(response.User)
	r.impersonated = nil
	r.add(Stop{Gate: Authentication, By: by, Latency: latency})
}

// enterAs enters a gate as the user that the filters before it have found.
func (r *Record) enterAs(gate Gate, u user.Info, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.enter(gate, now)
	// A user may impersonate itself with fewer groups.
	if known := r.user(); u != nil && (u.GetName() != known.name || u.GetUID() != known.uid || !slices.Equal(u.GetGroups(), known.groups)) {
		other := identityOf(u)
		r.impersonated = &other
	}
	// The library asks no authorizer for an impersonation that it allowed in the last ten seconds.
	if gate > Impersonation && r.reached&(1<<Impersonation) == 0 && r.authenticated.name != "" && r.user().name != r.authenticated.name {
		r.reached |= 1 << Impersonation
		r.add(Stop{Gate: Impersonation, Reason: "allowed for an earlier request"})
	}
}

// Check is the authorization of a request, or of its impersonation. Authorizers find it in the context
// of no other question that is put to them.
type Check struct {
	// by is the authorizer that decided, or that was asked last, and foreign is true if its texts are not of this server.
	by            string
	foreign       bool
	binding, role *Object
}

type checkKey struct{}

// CheckFrom returns the check that an authorizer decides, or nil.
func CheckFrom(ctx context.Context) *Check {
	check, _ := ctx.Value(checkKey{}).(*Check)
	return check
}

// Granted notes by which binding and role the check is allowed. The objects must not change.
func (c *Check) Granted(binding, role *Object) {
	if c != nil {
		c.binding, c.role = binding, role
	}
}

// WithAuthorizer records the decisions of the authorizer of the chain.
func WithAuthorizer(all authorizer.Authorizer) authorizer.Authorizer { return recordedAuthorizer{all} }

type recordedAuthorizer struct{ authorizer.Authorizer }

// Authorize implements authorizer.Authorizer.
func (a recordedAuthorizer) Authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	record := From(ctx)
	if record == nil {
		return a.Authorizer.Authorize(ctx, attributes)
	}
	gate := Authorization
	if strings.HasPrefix(attributes.GetVerb(), "impersonate") {
		gate = Impersonation
	}
	begun := time.Now()
	record.enterAs(gate, attributes.GetUser(), begun)
	check := &record.check
	*check = Check{}
	decision, reason, err := a.Authorizer.Authorize(context.WithValue(ctx, checkKey{}, check), attributes)
	stop := Stop{Gate: gate, By: check.by, Latency: time.Since(begun), Binding: check.binding, Role: check.role}
	if decision != authorizer.DecisionAllow {
		stop.Verdict, stop.Binding, stop.Role = Refused, nil, nil
	}
	stop.Reason = check.reason(decision, reason, err)
	record.decided(stop)
	return decision, reason, err
}

// ReasonNotAllowed is the reason of a refusal because no authorizer has an opinion: a role can change it.
const ReasonNotAllowed = "no authorizer allows it"

// reason returns the cause of a decision, without texts of webhooks.
func (c *Check) reason(decision authorizer.Decision, reason string, err error) string {
	switch {
	case decision == authorizer.DecisionAllow && (c.binding != nil || c.foreign):
		return "" // the binding says the same
	case decision == authorizer.DecisionAllow:
		return reason
	case err != nil:
		return "an authorizer failed: the log of the server has its error"
	case decision != authorizer.DecisionDeny:
		return ReasonNotAllowed // the near misses include roles that are missing
	case c.foreign || reason == "":
		return "the authorizer denied it"
	}
	return reason
}

// decided adds the decision of an authorizer. The last one of an impersonation counts, which is several.
func (r *Record) decided(stop Stop) {
	stop.Reason = bounded(stop.Reason, longestReason)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if stop.Gate == Impersonation {
		for i := range r.stops {
			if r.stops[i].Gate == Impersonation {
				stop.Latency += r.stops[i].Latency
				stop.calls = r.stops[i].calls + 1
				r.stops[i] = stop
				return
			}
		}
	}
	r.add(stop)
}

// NamedAuthorizers returns authorizers that note which of them was asked last: the one that decided.
func NamedAuthorizers(all ...union.NamedAuthorizer) []union.NamedAuthorizer {
	noted := make([]union.NamedAuthorizer, 0, len(all))
	for _, one := range all {
		one.Authorizer = notedAuthorizer{one.Authorizer, one.AuthorizerName}
		noted = append(noted, one)
	}
	return noted
}

type notedAuthorizer struct {
	authorizer.Authorizer
	name string
}

// Authorize implements authorizer.Authorizer.
func (a notedAuthorizer) Authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	if check := CheckFrom(ctx); check != nil {
		check.by, check.foreign = a.name, false
	}
	return a.Authorizer.Authorize(ctx, attributes)
}

// Foreign returns an authorizer whose reasons are not recorded: they are texts of a webhook.
func Foreign(a authorizer.Authorizer) authorizer.Authorizer { return foreignAuthorizer{a} }

type foreignAuthorizer struct{ authorizer.Authorizer }

// Authorize implements authorizer.Authorizer.
func (a foreignAuthorizer) Authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	if check := CheckFrom(ctx); check != nil {
		check.foreign = true
	}
	return a.Authorizer.Authorize(ctx, attributes)
}

// AtGate notes that requests are at a gate when they reach a handler.
func AtGate(handler http.Handler, gate func(*http.Request) Gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if record := From(r.Context()); record != nil {
			record.setTrackers(r.Context())
			record.Enter(gate(r))
		}
		handler.ServeHTTP(w, r)
	})
}
