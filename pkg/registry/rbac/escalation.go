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
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Escalation says whether the caller of a request (user and namespace in ctx) may grant what
// they do not hold.
type Escalation interface {
	// MayWriteRules returns nil if the caller holds all rules in the namespace ("" is the
	// cluster), or has the verb escalate on the resource ("roles" or "clusterroles") of this
	// name, or is of system:masters; else an error that names what is missing.
	MayWriteRules(ctx context.Context, resource, namespace, name string, rules []rbacv1.PolicyRule) error
	// MayBind is the same for a binding to ref made in the namespace, with the verb bind on
	// the role. It returns a NotFound if the role does not exist.
	MayBind(ctx context.Context, namespace string, ref rbacv1.RoleRef) error
}

// everything is what a cluster role with an aggregationRule may come to allow.
var everything = []rbacv1.PolicyRule{
	{Verbs: []string{rbacv1.VerbAll}, APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}},
	{Verbs: []string{rbacv1.VerbAll}, NonResourceURLs: []string{rbacv1.NonResourceAll}},
}

// write is one that is to be checked.
type write struct {
	namespace string // that of the URL; empty for cluster kinds
	name      string
	obj       runtime.Object
	old       runtime.Object // nil where nothing is updated
}

// check asks whether the caller may grant what the object grants.
type check func(ctx context.Context, escalation Escalation, w write) error

// guarded is a store that grants nothing on behalf of a caller who does not hold it. Base is
// the store without the check, for what is written on nobody's behalf.
type guarded struct {
	*base.Store
	escalation Escalation
	check      check
}

// Create checks the object, as admission has left it.
func (g *guarded) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	object, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	if err := g.allow(ctx, write{name: object.GetName(), obj: obj}); err != nil {
		return nil, err
	}
	return g.Store.Create(ctx, obj, createValidation, options)
}

// Update checks what would be stored, each time it is computed: patch and apply come here,
// too, and so does a PUT that creates.
func (g *guarded) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(objInfo, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		if onlyForGarbageCollection(obj, old) {
			return obj, nil
		}
		return obj, g.allow(ctx, write{name: name, obj: obj, old: old})
	})
	return g.Store.Update(ctx, name, checked, createValidation, updateValidation, forceAllowCreate, options)
}

func (g *guarded) allow(ctx context.Context, w write) error {
	if g.NamespaceScoped() {
		var ok bool
		// The object's own namespace may still be empty.
		if w.namespace, ok = request.NamespaceFrom(ctx); !ok || w.namespace == "" {
			return apierrors.NewBadRequest("the request names no namespace: write below /namespaces/NAME")
		}
	}
	err := g.check(ctx, g.escalation, w)
	if err == nil || apierrors.IsNotFound(err) {
		return err
	}
	return apierrors.NewForbidden(g.resource(), w.name, err)
}

func (g *guarded) resource() schema.GroupResource { return g.DefaultQualifiedResource }

// onlyForGarbageCollection says that a write changes at most owners and finalizers, which
// the garbage collector does without holding any of the rules.
func onlyForGarbageCollection(obj, old runtime.Object) bool {
	if old == nil {
		return false
	}
	obj, old = obj.DeepCopyObject(), old.DeepCopyObject()
	object, err := meta.Accessor(obj)
	if err != nil {
		return false
	}
	before, err := meta.Accessor(old)
	if err != nil {
		return false
	}
	object.SetOwnerReferences(before.GetOwnerReferences())
	object.SetFinalizers(before.GetFinalizers())
	object.SetManagedFields(before.GetManagedFields())
	// What a request says about its kind is not stored.
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	old.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return equality.Semantic.DeepEqual(obj, old)
}

func checkRole(ctx context.Context, escalation Escalation, w write) error {
	return escalation.MayWriteRules(ctx, "roles", w.namespace, w.name, w.obj.(*rbacv1.Role).Rules)
}

// checkClusterRole checks the rules even where they stay: a new label may have them gathered
// into a role that others hold. Likewise, whoever leaves an aggregationRule as it is, or
// removes it, decides on rules that they need not know.
func checkClusterRole(ctx context.Context, escalation Escalation, w write) error {
	role := w.obj.(*rbacv1.ClusterRole)
	if err := escalation.MayWriteRules(ctx, "clusterroles", "", w.name, role.Rules); err != nil {
		return err
	}
	gathers := role.AggregationRule != nil
	if old, ok := w.old.(*rbacv1.ClusterRole); ok && old != nil {
		gathers = gathers || old.AggregationRule != nil
	}
	if !gathers {
		return nil
	}
	if err := escalation.MayWriteRules(ctx, "clusterroles", "", w.name, everything); err != nil {
		return fmt.Errorf("an aggregationRule can gather every rule, so whoever writes a cluster role with one must hold all of them: %w", err)
	}
	return nil
}

func checkRoleBinding(ctx context.Context, escalation Escalation, w write) error {
	return escalation.MayBind(ctx, w.namespace, w.obj.(*rbacv1.RoleBinding).RoleRef)
}

func checkClusterRoleBinding(ctx context.Context, escalation Escalation, w write) error {
	return escalation.MayBind(ctx, "", w.obj.(*rbacv1.ClusterRoleBinding).RoleRef)
}
