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

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Authorizer decides by roles and bindings, as Kubernetes' RBAC does.
type Authorizer struct {
	index  *index
	synced []cache.InformerSynced
}

var (
	_ authorizer.Authorizer   = &Authorizer{}
	_ authorizer.RuleResolver = &Authorizer{}
)

// New makes an authorizer that follows the informers. They must be started afterwards; until
// HasSynced it knows only a part of what was granted, and so allows less.
func New(informers rbacinformers.Interface) (*Authorizer, error) {
	a := &Authorizer{index: newIndex()}
	for _, f := range []struct {
		informer cache.SharedIndexInformer
		set      func(obj any)
		forget   func(key objectKey)
	}{
		{informers.Roles().Informer(), func(obj any) {
			if r, ok := obj.(*rbacv1.Role); ok {
				a.index.setRole(objectKey{r.Namespace, r.Name}, &r.Rules)
			}
		}, func(key objectKey) { a.index.setRole(key, nil) }},
		{informers.ClusterRoles().Informer(), func(obj any) {
			if r, ok := obj.(*rbacv1.ClusterRole); ok {
				a.index.setClusterRole(r.Name, &r.Rules)
			}
		}, func(key objectKey) { a.index.setClusterRole(key.name, nil) }},
		{informers.RoleBindings().Informer(), func(obj any) {
			if b, ok := obj.(*rbacv1.RoleBinding); ok {
				a.index.setBinding(objectKey{b.Namespace, b.Name}, b.Subjects, b.RoleRef)
			}
		}, a.index.deleteBinding},
		{informers.ClusterRoleBindings().Informer(), func(obj any) {
			if b, ok := obj.(*rbacv1.ClusterRoleBinding); ok {
				a.index.setBinding(objectKey{"", b.Name}, b.Subjects, b.RoleRef)
			}
		}, a.index.deleteBinding},
	} {
		registration, err := f.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    f.set,
			UpdateFunc: func(_, obj any) { f.set(obj) },
			DeleteFunc: func(obj any) {
				// The key of an object whose deletion was missed is known as well.
				key, err := cache.DeletionHandlingObjectToName(obj)
				if err != nil {
					klog.ErrorS(err, "RBAC was told that something is gone that has no name")
					return
				}
				f.forget(objectKey{key.Namespace, key.Name})
			},
		})
		if err != nil {
			return nil, err
		}
		a.synced = append(a.synced, registration.HasSynced)
	}
	return a, nil
}

// HasSynced says whether all that was granted when the informers started is known.
func (a *Authorizer) HasSynced() bool {
	for _, synced := range a.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// Authorize allows what a rule of a role allows that is bound to the user or to one of its
// groups, in the cluster or in the namespace of the request, and has no opinion on the rest.
// A binding without its role is no error but a part of the reason.
func (a *Authorizer) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	u := attributes.GetUser()
	if u == nil {
		return authorizer.DecisionNoOpinion, "RBAC: the caller is not known", nil
	}
	r := requestOf(attributes)
	var missing []error
	var buffer [8][]*grant
	for _, list := range a.index.granted(u, attributes.GetNamespace(), buffer[:0]) {
		for _, g := range list {
			rules, err := g.rules()
			if err != nil {
				missing = append(missing, err)
				continue
			}
			for i := range rules {
				if r.allowedBy(&rules[i]) {
					return authorizer.DecisionAllow, "RBAC: allowed by " + g.describe(u), nil
				}
			}
		}
	}
	reason := ""
	if len(missing) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(missing))
	}
	klog.V(5).InfoS("RBAC: no rule allows it", "user", u.GetName(), "groups", u.GetGroups(), "verb", attributes.GetVerb(),
		"apiGroup", attributes.GetAPIGroup(), "resource", r.combined, "name", r.name, "path", r.path, "namespace", attributes.GetNamespace())
	return authorizer.DecisionNoOpinion, reason, nil
}

// describe names the binding, its role and for whom it stands, in Kubernetes' words.
func (g *grant) describe(u user.Info) string {
	kind, name := "ClusterRoleBinding", g.key.name
	if g.key.namespace != "" {
		kind, name = "RoleBinding", g.key.name+"/"+g.key.namespace
	}
	to := ""
	if s := g.firstSubject(u); s != nil {
		to = s.Name
		if s.Kind == rbacv1.ServiceAccountKind {
			namespace := s.Namespace
			if namespace == "" {
				namespace = g.key.namespace
			}
			to += "/" + namespace
		}
		to = fmt.Sprintf("%s %q", s.Kind, to)
	}
	return fmt.Sprintf("%s %q of %s %q to %s", kind, name, g.roleRef.Kind, g.roleRef.Name, to)
}

// ConditionsAwareAuthorize decides as Authorize does: there are no conditions.
func (a *Authorizer) ConditionsAwareAuthorize(ctx context.Context, attributes authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(a.Authorize(ctx, attributes))
}

// EvaluateConditions denies: nothing here decides under conditions.
func (*Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesOf are all rules that hold for a user, in the cluster and in the namespace. Where
// roles are missing there is an error beside the rules that were found.
func (a *Authorizer) RulesOf(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var all []rbacv1.PolicyRule
	var missing []error
	seen := map[*grant]bool{}
	for _, list := range a.index.granted(u, namespace, nil) {
		for _, g := range list {
			if seen[g] {
				continue
			}
			seen[g] = true
			rules, err := g.rules()
			if err != nil {
				missing = append(missing, err)
				continue
			}
			all = append(all, rules...)
		}
	}
	return all, utilerrors.NewAggregate(missing)
}

// RulesFor implements authorizer.RuleResolver, for SelfSubjectRulesReviews.
func (a *Authorizer) RulesFor(_ context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	rules, err := a.RulesOf(u, namespace)
	for _, rule := range rules {
		if len(rule.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
		}
	}
	return resources, paths, false, err
}
