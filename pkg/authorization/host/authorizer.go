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

package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// NameOf returns the name of the host that a user is. isHost is true for every member of
// v1alpha1.HostsGroup; the name is empty where the user's own name is none of a host.
func NameOf(u user.Info) (name string, isHost bool) {
	if u == nil || !slices.Contains(u.GetGroups(), v1alpha1.HostsGroup) {
		return "", false
	}
	name, ok := strings.CutPrefix(u.GetName(), v1alpha1.HostUserPrefix)
	if !ok || len(apivalidation.NameIsDNSSubdomain(name, false)) > 0 {
		return "", true
	}
	return name, true
}

// Bindings tells whether an instance is bound to a host.
type Bindings interface {
	// Bound must be right directly after a binding: before it says no, it looks at the
	// instance itself and not at a copy. An instance that does not exist is bound to nobody.
	Bound(ctx context.Context, namespace, name, host string) (bool, error)
}

// Options say what differs between servers.
type Options struct {
	// ApproveRegistration keeps hosts from creating their own Host: an operator creates it first.
	ApproveRegistration bool
}

// New makes the authorizer of hosts.
func New(bindings Bindings, options Options) (authorizer.Authorizer, error) {
	if bindings == nil {
		return nil, errors.New("the authorizer of hosts was not told how to look up bindings")
	}
	return &hosts{bindings: bindings, options: options}, nil
}

type hosts struct {
	bindings Bindings
	options  Options
}

// Authorize allows or denies what members of v1alpha1.HostsGroup ask for, and has no opinion on anybody
// else.
func (h *hosts) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	name, isHost := NameOf(a.GetUser())
	if !isHost {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if name == "" {
		return authorizer.DecisionDeny, fmt.Sprintf("a member of group %s must be named %s<name of its host>", v1alpha1.HostsGroup, v1alpha1.HostUserPrefix), nil
	}
	refusal, err := h.refuse(ctx, name, a)
	if refusal != "" || err != nil {
		return authorizer.DecisionDeny, refusal, err
	}
	return authorizer.DecisionAllow, fmt.Sprintf("host %q may do this", name), nil
}

// ConditionsAwareAuthorize decides as Authorize does: there are no conditions.
func (h *hosts) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(h.Authorize(ctx, a))
}

// EvaluateConditions denies: nothing here decides under conditions.
func (h *hosts) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// refuse says why a host may not do what it asks for; nothing where it may.
func (h *hosts) refuse(ctx context.Context, host string, a authorizer.Attributes) (string, error) {
	if !a.IsResourceRequest() {
		if mayRead(a.GetVerb(), a.GetPath()) {
			return "", nil
		}
		return fmt.Sprintf("host %q may read only what describes the API", host), nil
	}
	switch a.GetAPIGroup() + "/" + a.GetResource() {
	case v1alpha1.GroupName + "/hosts":
		// Server-side apply of an absent object asks for create as well.
		if a.GetVerb() == "create" && h.options.ApproveRegistration {
			return fmt.Sprintf("host %q may not register itself: the server runs with --host-registration=approve, so an operator creates its Host first", host), nil
		}
		return own(host, a, "Host", "", "status"), nil
	case v1alpha1.GroupName + "/hostleases":
		return own(host, a, "HostLease", ""), nil
	case v1alpha1.GroupName + "/instances":
		return h.instances(ctx, host, a)
	case "/events", "events.k8s.io/events":
		return create(host, a, "events"), nil
	case "authentication.k8s.io/selfsubjectreviews", "authorization.k8s.io/selfsubjectaccessreviews", "authorization.k8s.io/selfsubjectrulesreviews":
		return create(host, a, a.GetResource()), nil
	}
	return fmt.Sprintf("host %q may use only its Host, its HostLease, the instances bound to it, and events", host), nil
}

// mayRead opens what upstream's role system:discovery opens, for reading.
func mayRead(verb, path string) bool {
	if verb != "get" {
		return false
	}
	switch path {
	case "/api", "/apis", "/openapi", "/version", "/version/", "/healthz", "/livez", "/readyz":
		return true
	}
	for _, below := range []string{"/api/", "/apis/", "/openapi/"} {
		if strings.HasPrefix(path, below) {
			return true
		}
	}
	return false
}

// own opens the one object that bears the host's name. A create names no object in its URL,
// so admission looks at the body; server-side apply of an absent object does name it.
func own(host string, a authorizer.Attributes, kind string, subresources ...string) string {
	if !slices.Contains(subresources, a.GetSubresource()) {
		return fmt.Sprintf("host %q may not use the subresource %s of %s", host, a.GetSubresource(), a.GetResource())
	}
	switch verb := a.GetVerb(); verb {
	case "create":
		if a.GetSubresource() == "" && (a.GetName() == "" || a.GetName() == host) {
			return ""
		}
		return fmt.Sprintf("host %q may create only its own %s", host, kind)
	case "get", "update", "patch":
		if a.GetName() == host {
			return ""
		}
		return fmt.Sprintf("host %q may %s only the %s %q", host, verb, kind, host)
	default:
		return fmt.Sprintf("host %q may not %s %s: it may create, get, update and patch its own", host, verb, a.GetResource())
	}
}

// create opens nothing but the create of what bears no fixed name.
func create(host string, a authorizer.Attributes, what string) string {
	if a.GetVerb() == "create" && a.GetSubresource() == "" && a.GetName() == "" {
		return ""
	}
	return fmt.Sprintf("host %q may only create %s", host, what)
}

// instances opens the lists and watches of the host's own instances, and what an agent does
// with one of them.
func (h *hosts) instances(ctx context.Context, host string, a authorizer.Attributes) (string, error) {
	verb := a.GetVerb()
	switch verb + "/" + a.GetSubresource() {
	case "list/", "watch/":
		if ownSelector(host, a) {
			return "", nil
		}
		return fmt.Sprintf("host %q may %s instances only with the field selector %s=%s and no other", host, verb, v1alpha1.InstanceHostNameField, host), nil
	case "get/", "get/status", "update/status", "patch/status", "delete/", "create/token":
	default:
		return fmt.Sprintf("host %q may not %s %s: of an instance bound to it, it may read and delete the whole, write the status and create a token", host, verb, path(a)), nil
	}
	if a.GetNamespace() == "" || a.GetName() == "" {
		return fmt.Sprintf("host %q may %s %s only one by one, by namespace and name", host, verb, path(a)), nil
	}
	bound, err := h.bindings.Bound(ctx, a.GetNamespace(), a.GetName(), host)
	if err != nil {
		return "", fmt.Errorf("cannot tell whether instance %s/%s is bound to host %q: %w", a.GetNamespace(), a.GetName(), host, err)
	}
	if !bound {
		return fmt.Sprintf("no instance %q in namespace %q is bound to host %q", a.GetName(), a.GetNamespace(), host), nil
	}
	return "", nil
}

// ownSelector is true where nothing but the host's own instances can match. The library
// parsed the requirements from the same text that the storage obeys. A name, which comes
// from the URL of the deprecated watch of a single object or from a second requirement,
// makes it another question.
func ownSelector(host string, a authorizer.Attributes) bool {
	requirements, err := a.GetFieldSelector()
	if err != nil || len(requirements) != 1 || a.GetName() != "" {
		return false
	}
	exact := requirements[0].Operator == "=" || requirements[0].Operator == "=="
	return exact && requirements[0].Field == v1alpha1.InstanceHostNameField && requirements[0].Value == host
}

// path is how messages call a resource and its subresource.
func path(a authorizer.Attributes) string {
	if a.GetSubresource() == "" {
		return a.GetResource()
	}
	return a.GetResource() + "/" + a.GetSubresource()
}
