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
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// mostNearMisses bounds the result of NearMisses.
const mostNearMisses = 5

// The parts of a request that a rule or a binding may not include.
const (
	misfitVerb      = "verb"
	misfitGroup     = "group"
	misfitResource  = "resource"
	misfitName      = "name"
	misfitPath      = "path"
	misfitNamespace = "namespace"
)

// NearMiss is a binding of a user whose role does not allow a request.
type NearMiss struct {
	Binding, Role diagnostics.Object
	// RoleMissing is true if the role does not exist.
	RoleMissing bool
	// Rule is the rule of the role that comes closest, in words, and Misfits are the parts of the request
	// that it does not include.
	Rule    string
	Misfits []string
}

// NearMisses returns the bindings of the user, in all namespaces, that come closest to allowing the
// request, the closest first, and the bindings without their role.
func (a *Authorizer) NearMisses(u user.Info, attributes authorizer.Attributes) []NearMiss {
	r := requestOf(attributes)
	var misses []NearMiss
	seen := map[*grant]bool{}
	for _, g := range a.index.everywhere(u) {
		if seen[g] {
			continue
		}
		seen[g] = true
		if miss, ok := g.miss(&r, attributes.GetNamespace()); ok {
			misses = append(misses, miss)
		}
	}
	slices.SortStableFunc(misses, func(a, b NearMiss) int {
		return cmp.Or(cmp.Compare(len(a.Misfits), len(b.Misfits)), strings.Compare(a.Binding.Namespace, b.Binding.Namespace), strings.Compare(a.Binding.Name, b.Binding.Name))
	})
	return misses[:min(len(misses), mostNearMisses)]
}

// everywhere returns the grants of a user and its groups in all namespaces. One may appear more than once.
func (x *index) everywhere(u user.Info) []*grant {
	x.lock.RLock()
	defer x.lock.RUnlock()
	var all []*grant
	for _, set := range x.bySubject {
		for _, list := range set.appendOf(u, nil) {
			all = append(all, list...)
		}
	}
	return all
}

// miss compares the rules of a grant with a request; ok is false if they have nothing in common with
// it.
func (g *grant) miss(r *request, namespace string) (miss NearMiss, ok bool) {
	elsewhere := g.key.namespace != "" && g.key.namespace != namespace
	miss = NearMiss{Binding: *g.object.Load(), Role: diagnostics.Object{Kind: g.roleRef.Kind, Name: g.roleRef.Name}}
	if g.roleRef.Kind == kindRole {
		miss.Role.Namespace = g.key.namespace
	}
	role, err := g.current()
	if err != nil {
		miss.RoleMissing = true
		return miss, !elsewhere
	}
	miss.Role = role.object
	for i := range role.rules {
		rule := &role.rules[i]
		misfits, near := r.misfits(rule)
		if !near || ok && len(misfits) >= len(miss.Misfits) {
			continue
		}
		miss.Rule, miss.Misfits, ok = describeRule(rule), misfits, true
	}
	if ok && elsewhere {
		miss.Misfits = append(miss.Misfits, misfitNamespace)
	}
	return miss, ok
}

// misfits returns the parts of the request that a rule does not include; near is false if the rule is about
// something else.
func (r *request) misfits(rule *rbacv1.PolicyRule) (misfits []string, near bool) {
	if r.isResource != (len(rule.Resources) > 0) {
		return nil, false
	}
	if !holds(rule.Verbs, r.verb, rbacv1.VerbAll) {
		misfits = append(misfits, misfitVerb)
	}
	if !r.isResource {
		if !slices.ContainsFunc(rule.NonResourceURLs, r.matchesPath) {
			return append(misfits, misfitPath), false
		}
		return misfits, true
	}
	group, resource := holds(rule.APIGroups, r.group, rbacv1.APIGroupAll), slices.ContainsFunc(rule.Resources, r.matchesResource)
	if !group {
		misfits = append(misfits, misfitGroup)
	}
	if !resource {
		misfits = append(misfits, misfitResource)
	}
	if len(rule.ResourceNames) > 0 && !slices.Contains(rule.ResourceNames, r.name) {
		misfits = append(misfits, misfitName)
	}
	// A rule for another resource with the right verb is near if it is of the same group.
	return misfits, resource || group && len(misfits) == 1
}

// describeRule returns a rule in words.
func describeRule(rule *rbacv1.PolicyRule) string {
	text := strings.Join(rule.Verbs, ", ")
	if len(rule.NonResourceURLs) > 0 {
		return text + " of " + strings.Join(rule.NonResourceURLs, ", ")
	}
	groups := slices.Clone(rule.APIGroups)
	for i, group := range groups {
		if group == "" {
			groups[i] = "the core group"
		}
	}
	text += " of " + strings.Join(rule.Resources, ", ") + " in " + strings.Join(groups, ", ")
	if len(rule.ResourceNames) > 0 {
		text += fmt.Sprintf(" with the names %s", strings.Join(rule.ResourceNames, ", "))
	}
	return text
}
