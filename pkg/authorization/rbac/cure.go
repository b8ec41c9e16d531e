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
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// NearMisses returns Authorizer.NearMisses.
func (e *Escalation) NearMisses(u user.Info, attributes authorizer.Attributes) []NearMiss {
	return e.rules.NearMisses(u, attributes)
}

// Cure returns the command that binds the existing role with the fewest rights that would allow the
// request of a user, or that also creates such a role. It is empty if the user of the context may not
// create the binding.
func (e *Escalation) Cure(ctx context.Context, of user.Info, attributes authorizer.Attributes) string {
	caller, err := callerOf(ctx)
	if err != nil || strings.HasPrefix(of.GetName(), "system:") && !isServiceAccount(of) {
		return ""
	}
	namespace := attributes.GetNamespace()
	if !attributes.IsResourceRequest() {
		namespace = ""
	}
	resource, kind, where := "clusterrolebindings", "clusterrolebinding", ""
	if namespace != "" {
		resource, kind, where = "rolebindings", "rolebinding", " --namespace="+word(namespace)
	}
	if !e.has(ctx, caller, "create", resource, namespace, "") {
		return ""
	}
	subject := " --user=" + word(of.GetName())
	if account, name, err := serviceaccount.SplitUsername(of.GetName()); err == nil {
		subject = " --serviceaccount=" + word(account+":"+name)
	}
	name := e.rules.freeName(bindingName(of, attributes), namespace)
	if ref, ok := e.rules.smallest(attributes, namespace); ok && e.MayBind(ctx, namespace, ref) == nil {
		flag := " --clusterrole="
		if ref.Kind == kindRole {
			flag = " --role="
		}
		return "kubectl create " + kind + " " + word(name) + flag + word(ref.Name) + subject + where
	}
	rule := ruleFor(attributes)
	if e.MayWriteRules(ctx, strings.TrimSuffix(resource, "bindings")+"s", namespace, name, []rbacv1.PolicyRule{rule}) != nil {
		return ""
	}
	role, flag := "clusterrole", " --clusterrole="
	if namespace != "" {
		role, flag = "role", " --role="
	}
	what := " --non-resource-url=" + word(attributes.GetPath())
	if attributes.IsResourceRequest() {
		what = " --resource=" + word(resourceFlag(attributes))
	}
	return "kubectl create " + role + " " + word(name) + " --verb=" + word(attributes.GetVerb()) + what + where +
		" && kubectl create " + kind + " " + word(name) + flag + word(name) + subject + where
}

func isServiceAccount(u user.Info) bool {
	_, _, err := serviceaccount.SplitUsername(u.GetName())
	return err == nil
}

// resourceFlag returns RESOURCE.GROUP/SUBRESOURCE.
func resourceFlag(a authorizer.Attributes) string {
	text := a.GetResource()
	if a.GetAPIGroup() != "" {
		text += "." + a.GetAPIGroup()
	}
	if a.GetSubresource() != "" {
		text += "/" + a.GetSubresource()
	}
	return text
}

// ruleFor returns the rule that allows the request and little else.
func ruleFor(a authorizer.Attributes) rbacv1.PolicyRule {
	if !a.IsResourceRequest() {
		return rbacv1.PolicyRule{Verbs: []string{a.GetVerb()}, NonResourceURLs: []string{a.GetPath()}}
	}
	r := requestOf(a)
	return rbacv1.PolicyRule{Verbs: []string{r.verb}, APIGroups: []string{r.group}, Resources: []string{r.combined}}
}

// freeName returns a name, with a number if needed, that no binding and no role of the namespace has, nor a role
// that a binding refers to: a new role with its name would grant rights by that binding.
func (a *Authorizer) freeName(base, namespace string) string {
	a.index.lock.RLock()
	defer a.index.lock.RUnlock()
	name := base
	for n := 2; ; n++ {
		key := objectKey{namespace, name}
		taken := a.index.roleBindings[key] != nil || a.index.roles[key] != nil
		if namespace == "" {
			taken = taken || a.index.clusterRoles[name] != nil
		}
		if !taken {
			return name
		}
		name = fmt.Sprint(base, "-", n)
	}
}

// bindingName returns a valid name.
func bindingName(u user.Info, a authorizer.Attributes) string {
	name := u.GetName()
	if _, account, err := serviceaccount.SplitUsername(name); err == nil {
		name = account
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	resource := a.GetResource()
	if resource == "" {
		resource = "path"
	}
	return strings.Trim(fmt.Sprintf("%.40s", name), "-") + "-" + resource
}

// wildcardWeight is the weight of a star in a rule.
const wildcardWeight = 1000

// smallest returns the role with the fewest rights that allows the request, without those of the system.
func (a *Authorizer) smallest(attributes authorizer.Attributes, namespace string) (ref rbacv1.RoleRef, found bool) {
	a.index.lock.RLock()
	defer a.index.lock.RUnlock()
	least := 0
	consider := func(kind, name string, role *role) {
		current := role.current.Load()
		if current == nil || strings.HasPrefix(name, "system:") || !slices.ContainsFunc(current.rules, func(rule rbacv1.PolicyRule) bool { return RuleAllows(attributes, &rule) }) {
			return
		}
		weight := 0
		for i := range current.rules {
			weight += weightOf(&current.rules[i])
		}
		if !found || weight < least || weight == least && name < ref.Name {
			ref, found, least = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}, true, weight
		}
	}
	for name, role := range a.index.clusterRoles {
		consider(kindClusterRole, name, role)
	}
	for key, role := range a.index.roles {
		if namespace != "" && key.namespace == namespace {
			consider(kindRole, key.name, role)
		}
	}
	return ref, found
}

func weightOf(rule *rbacv1.PolicyRule) int {
	weigh := func(list []string) int {
		weight := 1
		for _, entry := range list {
			weight++
			if strings.Contains(entry, rbacv1.ResourceAll) {
				weight += wildcardWeight
			}
		}
		return weight
	}
	return weigh(rule.Verbs) * weigh(rule.APIGroups) * weigh(rule.Resources) * weigh(rule.NonResourceURLs)
}

// word returns a text as one word of a shell.
func word(text string) string {
	plain := !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,+=", r))
	})
	if plain && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
