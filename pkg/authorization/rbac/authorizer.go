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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
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

// New returns an authorizer that follows the informers, which must be started afterwards. Until
// HasSynced it has a part of the grants only, and so allows less.
func New(informers rbacinformers.Interface) (*Authorizer, error) {
	a := &Authorizer{index: newIndex()}
	for _, f := range []struct {
		informer cache.SharedIndexInformer
		set      func(obj any)
		forget   func(key objectKey)
	}{
		{informers.Roles().Informer(), func(obj any) {
			if r, ok := obj.(*rbacv1.Role); ok {
				a.index.setRole(objectKey{r.Namespace, r.Name}, &roleVersion{r.Rules, versionOf(kindRole, &r.ObjectMeta)})
			}
		}, func(key objectKey) { a.index.setRole(key, nil) }},
		{informers.ClusterRoles().Informer(), func(obj any) {
			if r, ok := obj.(*rbacv1.ClusterRole); ok {
				a.index.setClusterRole(r.Name, &roleVersion{r.Rules, versionOf(kindClusterRole, &r.ObjectMeta)})
			}
		}, func(key objectKey) { a.index.setClusterRole(key.name, nil) }},
		{informers.RoleBindings().Informer(), func(obj any) {
			if b, ok := obj.(*rbacv1.RoleBinding); ok {
				version := versionOf(kindRoleBinding, &b.ObjectMeta)
				a.index.setRoleBinding(objectKey{b.Namespace, b.Name}, b.Subjects, b.RoleRef, &version)
			}
		}, a.index.deleteRoleBinding},
		{informers.ClusterRoleBindings().Informer(), func(obj any) {
			if b, ok := obj.(*rbacv1.ClusterRoleBinding); ok {
				version := versionOf(kindClusterRoleBinding, &b.ObjectMeta)
				a.index.setRoleBinding(objectKey{"", b.Name}, b.Subjects, b.RoleRef, &version)
			}
		}, a.index.deleteRoleBinding},
	} {
		registration, err := f.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    f.set,
			UpdateFunc: func(_, obj any) { f.set(obj) },
			DeleteFunc: func(obj any) {
				// A tombstone has a key, too.
				key, err := cache.DeletionHandlingObjectToName(obj)
				if err != nil {
					klog.ErrorS(err, "Deleted RBAC object has no key")
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

// versionOf identifies a version of an object.
func versionOf(kind string, o *metav1.ObjectMeta) diagnostics.Object {
	return diagnostics.Object{Kind: kind, Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), ResourceVersion: o.ResourceVersion}
}

// HasSynced reports whether the authorizer has all grants that existed when the informers started.
func (a *Authorizer) HasSynced() bool {
	for _, synced := range a.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// Authorize allows a request if a role that is bound to the user or to one of its groups, in the
// cluster or in the namespace of the request, has a rule for it, and has no opinion otherwise. A
// binding without its role is part of the reason and no error.
func (a *Authorizer) Authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	u := attributes.GetUser()
	if u == nil {
		return authorizer.DecisionNoOpinion, "RBAC: the caller is not known", nil
	}
	r := requestOf(attributes)
	var missing []error
	var buffer [8][]*grant
	for _, list := range a.index.granted(u, attributes.GetNamespace(), buffer[:0]) {
		for _, g := range list {
			role, err := g.current()
			if err != nil {
				missing = append(missing, err)
				continue
			}
			for i := range role.rules {
				if r.allowedBy(&role.rules[i]) {
					diagnostics.CheckFrom(ctx).Granted(g.object.Load(), &role.object)
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

// describe returns the binding, its role and its subject in Kubernetes' words.
func (g *grant) describe(u user.Info) string {
	kind, name := kindClusterRoleBinding, g.key.name
	if g.key.namespace != "" {
		kind, name = kindRoleBinding, g.key.name+"/"+g.key.namespace
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

// ConditionsAwareAuthorize returns the decision of Authorize: there are no conditions.
func (a *Authorizer) ConditionsAwareAuthorize(ctx context.Context, attributes authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(a.Authorize(ctx, attributes))
}

// EvaluateConditions denies: no decision has conditions.
func (*Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesOf returns all rules that are granted to a user in the cluster and in the namespace. If roles are
// missing, it returns an error and the rules that it found.
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
			role, err := g.current()
			if err != nil {
				missing = append(missing, err)
				continue
			}
			all = append(all, role.rules...)
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
