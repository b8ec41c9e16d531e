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

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// NameOf returns the host's name of a user. isHost is true for every member of v1alpha1.HostsGroup;
// the name is empty if the user's name has not the form of a host's.
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

// BoundInstances looks up whether an instance is bound to a host.
type BoundInstances interface {
	// Bound reports whether the instance is bound to the host. It must be right directly after a
	// binding: before it returns false, it reads the instance itself and not a cache. An instance
	// that does not exist is not bound.
	Bound(ctx context.Context, namespace, name, host string) (bool, error)
}

// Options are the options of the authorizer.
type Options struct {
	// ApproveRegistration denies hosts to create their own Host: an operator creates it first.
	ApproveRegistration bool
}

// New returns the authorizer of hosts.
func New(bound BoundInstances, options Options) (authorizer.Authorizer, error) {
	if bound == nil {
		return nil, errors.New("the authorizer of hosts needs a lookup of bound instances")
	}
	return &hosts{bound: bound, options: options}, nil
}

type hosts struct {
	bound   BoundInstances
	options Options
}

// Authorize allows or denies requests of members of v1alpha1.HostsGroup, and has no opinion on other
// users.
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

// ConditionsAwareAuthorize returns the decision of Authorize: there are no conditions.
func (h *hosts) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(h.Authorize(ctx, a))
}

// EvaluateConditions denies: no decision has conditions.
func (h *hosts) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// refuse returns the reason for which a request of a host is denied, or an empty string.
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
		return own(host, a, "Host", "", "status", "tunnel"), nil
	case v1alpha1.GroupName + "/hostleases":
		return own(host, a, "HostLease", ""), nil
	case v1alpha1.GroupName + "/instances":
		return h.instances(ctx, host, a)
	case "certificates.k8s.io/certificatesigningrequests":
		return requests(host, a), nil
	case diagnosticsv1alpha1.GroupName + "/" + diagnosticsv1alpha1.RequestTraces, diagnosticsv1alpha1.GroupName + "/" + diagnosticsv1alpha1.WatchSessions:
		return traces(host, a), nil
	case "/events", "events.k8s.io/events":
		return create(host, a, "events"), nil
	case "authentication.k8s.io/selfsubjectreviews", "authorization.k8s.io/selfsubjectaccessreviews", "authorization.k8s.io/selfsubjectrulesreviews":
		return create(host, a, a.GetResource()), nil
	}
	return fmt.Sprintf("host %q may use only its Host, its HostLease, the instances bound to it, events, its request traces and watch sessions, and requests for its certificate", host), nil
}

// traces refuses everything but reads of request traces and watch sessions: the storages return those of
// the host only.
func traces(host string, a authorizer.Attributes) string {
	switch a.GetVerb() {
	case "get", "list", "watch":
		return ""
	}
	return fmt.Sprintf("host %q may only read its own %s", host, a.GetResource())
}

// mayRead reports whether Kubernetes' role system:discovery allows the path.
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

// own allows the one object with the host's name. The URL of a create has no name, so admission checks
// the body; that of a server-side apply of an absent object has one.
func own(host string, a authorizer.Attributes, kind string, subresources ...string) string {
	if !slices.Contains(subresources, a.GetSubresource()) {
		return fmt.Sprintf("host %q may not use the subresource %s of %s", host, a.GetSubresource(), a.GetResource())
	}
	switch verb := a.GetVerb(); verb {
	case "create":
		if a.GetSubresource() == "" && (a.GetName() == "" || a.GetName() == host) || a.GetSubresource() == "tunnel" && a.GetName() == host {
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

// create allows only the create of objects without a fixed name.
func create(host string, a authorizer.Attributes, what string) string {
	if a.GetVerb() == "create" && a.GetSubresource() == "" && a.GetName() == "" {
		return ""
	}
	return fmt.Sprintf("host %q may only create %s", host, what)
}

// RequestPrefix begins the names of the certificate signing requests of a host. No name of a host has a
// colon, so that no host has the requests of another.
func RequestPrefix(host string) string { return v1alpha1.HostUserPrefix + host + ":" }

// requests allows the host to request certificates and to read its requests, by name. Admission checks
// the name and the content of a new one.
func requests(host string, a authorizer.Attributes) string {
	if a.GetSubresource() == "" {
		switch a.GetVerb() {
		case "create":
			if a.GetName() == "" {
				return ""
			}
		case "get", "list", "watch":
			if strings.HasPrefix(a.GetName(), RequestPrefix(host)) {
				return ""
			}
		}
	}
	return fmt.Sprintf("host %q may only create certificatesigningrequests, and read those with names that begin with %s, each by its name", host, RequestPrefix(host))
}

// instances allows lists and watches of the host's own instances, and what an agent does with one of
// them.
func (h *hosts) instances(ctx context.Context, host string, a authorizer.Attributes) (string, error) {
	verb := a.GetVerb()
	switch verb + "/" + a.GetSubresource() {
	case "list/", "watch/":
		if ownSelector(host, a) {
			return "", nil
		}
		return fmt.Sprintf("host %q may %s instances only with the field selector %s=%s and no other", host, verb, v1alpha1.InstanceHostNameField, host), nil
	case "get/", "get/status", "update/status", "patch/status", "delete/", "create/token", "get/configuration":
	default:
		return fmt.Sprintf("host %q may not %s %s: of an instance bound to it, it may read and delete the whole, write the status, create a token and read the configuration", host, verb, path(a)), nil
	}
	if a.GetNamespace() == "" || a.GetName() == "" {
		return fmt.Sprintf("host %q may %s %s only one by one, by namespace and name", host, verb, path(a)), nil
	}
	bound, err := h.bound.Bound(ctx, a.GetNamespace(), a.GetName(), host)
	if err != nil {
		return "", fmt.Errorf("the binding of instance %s/%s to host %q cannot be determined: %w", a.GetNamespace(), a.GetName(), host, err)
	}
	if !bound {
		return fmt.Sprintf("no instance %q in namespace %q is bound to host %q", a.GetName(), a.GetNamespace(), host), nil
	}
	return "", nil
}

// ownSelector reports whether only the host's own instances can match. The library parses the
// requirements from the same text as the storage. A name, which comes from the URL of the deprecated
// watch of a single object or from a second requirement, makes it another request.
func ownSelector(host string, a authorizer.Attributes) bool {
	requirements, err := a.GetFieldSelector()
	if err != nil || len(requirements) != 1 || a.GetName() != "" {
		return false
	}
	exact := requirements[0].Operator == "=" || requirements[0].Operator == "=="
	return exact && requirements[0].Field == v1alpha1.InstanceHostNameField && requirements[0].Value == host
}

// path returns the resource and its subresource for messages.
func path(a authorizer.Attributes) string {
	if a.GetSubresource() == "" {
		return a.GetResource()
	}
	return a.GetResource() + "/" + a.GetSubresource()
}
