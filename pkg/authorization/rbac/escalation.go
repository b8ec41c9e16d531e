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

package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Escalation prevents privilege escalation: users can grant only rights that they hold, by a role or
// by a binding. The storages of roles and bindings call it with the object to store and not with the
// request, so that it checks the result of a patch.
type Escalation struct {
	rules *Authorizer
	// may authorizes the verbs escalate and bind; it is the whole authorizer of the server, and
	// not RBAC alone.
	may authorizer.Authorizer
}

// NewEscalation returns an Escalation that takes the rights of users from rules, and authorizes the
// verbs escalate and bind by may.
func NewEscalation(rules *Authorizer, may authorizer.Authorizer) (*Escalation, error) {
	if rules == nil || may == nil {
		return nil, errors.New("escalation checks need the rules and an authorizer")
	}
	return &Escalation{rules: rules, may: may}, nil
}

// MayWriteRules returns nil if the user of the request may write a role with these rules: a member of
// system:masters, a user with the verb escalate on the role, or one with all the rules. Otherwise
// the error has the missing rules. The resource is roles or clusterroles; the namespace is empty for
// clusterroles.
func (e *Escalation) MayWriteRules(ctx context.Context, resource, namespace, name string, rules []rbacv1.PolicyRule) error {
	caller, err := callerOf(ctx)
	if err != nil {
		return err
	}
	if e.has(ctx, caller, "escalate", resource, namespace, name) {
		return nil
	}
	return e.holds(caller, namespace, rules)
}

// MayBind returns nil if the user of the request may bind the role in the namespace: a member of
// system:masters, a user with the verb bind on the role, or one with all its rules. It returns
// NotFound if the role does not exist, because its future rules are unknown. It accepts a reference
// to any other kind, which grants nothing: validation refuses it.
func (e *Escalation) MayBind(ctx context.Context, namespace string, ref rbacv1.RoleRef) error {
	caller, err := callerOf(ctx)
	if err != nil {
		return err
	}
	var resource string
	switch ref.Kind {
	case kindRole:
		resource = "roles"
	case kindClusterRole:
		resource = "clusterroles"
	default:
		return nil
	}
	if e.has(ctx, caller, "bind", resource, namespace, ref.Name) {
		return nil
	}
	rules, err := e.rules.index.roleRules(ref, namespace)
	if err != nil {
		return err
	}
	return e.holds(caller, namespace, rules)
}

func callerOf(ctx context.Context) (user.Info, error) {
	caller, ok := apirequest.UserFrom(ctx)
	if !ok {
		return nil, errors.New("the request has no authenticated user, so it can grant nothing")
	}
	return caller, nil
}

// has reports whether the user is a member of system:masters or has the verb on the object.
func (e *Escalation) has(ctx context.Context, caller user.Info, verb, resource, namespace, name string) bool {
	if slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup) {
		return true
	}
	decision, _, err := e.may.Authorize(ctx, authorizer.AttributesRecord{
		User: caller, Verb: verb, Namespace: namespace, APIGroup: rbacv1.GroupName, APIVersion: "*", Resource: resource, Name: name, ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

// holds returns an error with the rules that the user does not hold, or nil.
func (e *Escalation) holds(caller user.Info, namespace string, rules []rbacv1.PolicyRule) error {
	held, unresolved := e.rules.RulesOf(caller, namespace)
	covered, missing := validation.Covers(held, rules)
	if covered {
		return nil
	}
	message := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		caller.GetName(), caller.GetGroups(), strings.Join(describeRules(missing), "\n"))
	if unresolved != nil {
		message += fmt.Sprintf("; roles that could not be found: %v", unresolved)
	}
	return errors.New(message)
}

// describeRules returns a line per rule, in Kubernetes' form. Rules that differ in their verbs only
// share a line.
func describeRules(rules []rbacv1.PolicyRule) []string {
	verbs := map[string][]string{}
	for _, rule := range rules {
		var parts []string
		for _, part := range []struct {
			name   string
			values []string
		}{{"APIGroups", rule.APIGroups}, {"Resources", rule.Resources}, {"ResourceNames", rule.ResourceNames}, {"NonResourceURLs", rule.NonResourceURLs}} {
			if len(part.values) > 0 {
				parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.values))
			}
		}
		what := strings.Join(parts, ", ")
		for _, verb := range rule.Verbs {
			if !slices.Contains(verbs[what], verb) {
				verbs[what] = append(verbs[what], verb)
			}
		}
	}
	var lines []string
	for what, of := range verbs {
		lines = append(lines, fmt.Sprintf("{%s, Verbs:%q}", what, of))
	}
	slices.Sort(lines)
	return lines
}
