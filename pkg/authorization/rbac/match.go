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
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// request holds the attributes that rules are compared with.
type request struct {
	verb, group, resource, subresource, name string
	// combined is resource/subresource, or the resource.
	combined string
	// path is set only if isResource is false.
	path       string
	isResource bool
}

func requestOf(a authorizer.Attributes) request {
	if !a.IsResourceRequest() {
		return request{verb: a.GetVerb(), path: a.GetPath()}
	}
	r := request{
		isResource:  true,
		verb:        a.GetVerb(),
		group:       a.GetAPIGroup(),
		resource:    a.GetResource(),
		subresource: a.GetSubresource(),
		name:        a.GetName(),
	}
	r.combined = r.resource
	if r.subresource != "" {
		r.combined = r.resource + "/" + r.subresource
	}
	return r
}

// RuleAllows reports whether a rule allows the request.
func RuleAllows(a authorizer.Attributes, rule *rbacv1.PolicyRule) bool {
	r := requestOf(a)
	return r.allowedBy(rule)
}

func (r *request) allowedBy(rule *rbacv1.PolicyRule) bool {
	if !holds(rule.Verbs, r.verb, rbacv1.VerbAll) {
		return false
	}
	if !r.isResource {
		return slices.ContainsFunc(rule.NonResourceURLs, r.matchesPath)
	}
	// A rule without names allows all names, and requests without one.
	return holds(rule.APIGroups, r.group, rbacv1.APIGroupAll) &&
		slices.ContainsFunc(rule.Resources, r.matchesResource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.name))
}

// matchesResource accepts three forms: everything, a resource with its subresource, and a subresource
// of all resources. There is no form for all subresources of a resource.
func (r *request) matchesResource(pattern string) bool {
	if pattern == rbacv1.ResourceAll || pattern == r.combined {
		return true
	}
	if r.subresource == "" {
		return false
	}
	subresource, ofAll := strings.CutPrefix(pattern, "*/")
	return ofAll && subresource == r.subresource
}

// matchesPath compares paths literally, except for stars at the end of the pattern.
func (r *request) matchesPath(pattern string) bool {
	if pattern == rbacv1.NonResourceAll || pattern == r.path {
		return true
	}
	return strings.HasSuffix(pattern, "*") && strings.HasPrefix(r.path, strings.TrimRight(pattern, "*"))
}

func holds(list []string, one, all string) bool {
	for _, s := range list {
		if s == all || s == one {
			return true
		}
	}
	return false
}
