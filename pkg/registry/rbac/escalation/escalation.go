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

// Package police keeps callers from granting by a role or a binding what they do not hold.
//
// Stop 4 of the request's path (see ARCHITECTURE.md), for four resources. Their storages are
// Policed; read Policed.Update first.
package police

import (
	"context"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Escalation says whether the caller of a request may grant what they do not hold;
// pkg/authorization/rbac has it.
type Escalation interface {
	// MayWriteRules returns nil where they may write a role with these rules. The resource is
	// roles or clusterroles; a namespace of "" is the cluster's.
	MayWriteRules(ctx context.Context, resource, namespace, name string, rules []rbacv1.PolicyRule) error
	// MayBind returns nil where they may bind the role in the namespace, and NotFound where
	// there is no such role.
	MayBind(ctx context.Context, namespace string, ref rbacv1.RoleRef) error
}

// Policed is a storage of roles or bindings.
type Policed struct {
	*base.Store
	// Check returns an error where the caller may not make the object what it is to become;
	// old is what it was, or an empty object. It is not asked where nothing has changed but
	// what the garbage collector changes.
	Check func(ctx context.Context, obj, old runtime.Object) error
}

// Unpoliced is the storage for what the server itself writes before it serves.
func (p *Policed) Unpoliced() *base.Store { return p.Store }

// Create checks the object as it was sent; defaults and mutating admission come before.
func (p *Policed) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if err := p.check(ctx, obj, p.New()); err != nil {
		return nil, err
	}
	return p.Store.Create(ctx, obj, createValidation, options)
}

// Update checks what the object is to become, whether by update, patch or apply, each time
// that it is computed: after a conflict it may be something else.
func (p *Policed) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(objInfo, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		return obj, p.check(ctx, obj, old)
	})
	return p.Store.Update(ctx, name, checked, createValidation, updateValidation, forceAllowCreate, options)
}

func (p *Policed) check(ctx context.Context, obj, old runtime.Object) error {
	collected, err := onlyCollected(obj, old)
	if err != nil || collected {
		return err
	}
	err = p.Check(ctx, obj, old)
	if err == nil || apierrors.IsNotFound(err) {
		return err
	}
	object, accessErr := apimeta.Accessor(obj)
	if accessErr != nil {
		return accessErr
	}
	// A create has the name in its body alone.
	return apierrors.NewForbidden(p.DefaultQualifiedResource, object.GetName(), err)
}

// onlyCollected says whether the two differ at most in what the garbage collector writes: it
// must be able to delete what it could not grant. Any other change, be it a label by which
// another role gathers the rules, is one by somebody who has to hold them.
func onlyCollected(obj, old runtime.Object) (bool, error) {
	var cleared [2]runtime.Object
	for i, o := range []runtime.Object{obj, old} {
		cleared[i] = o.DeepCopyObject()
		object, err := apimeta.Accessor(cleared[i])
		if err != nil {
			return false, err
		}
		object.SetOwnerReferences(nil)
		object.SetFinalizers(nil)
		object.SetManagedFields(nil)
	}
	return apiequality.Semantic.DeepEqual(cleared[0], cleared[1]), nil
}

// RequestName is the name in the request's path; none for a create. As in Kubernetes, a verb
// that is granted for some names lifts no check of a create.
func RequestName(ctx context.Context) string {
	if info, ok := request.RequestInfoFrom(ctx); ok {
		return info.Name
	}
	return ""
}

// SubjectsOf are the names of the subjects of a kind, as kubectl prints them.
func SubjectsOf(subjects []rbacv1.Subject, kind string) string {
	var names []string
	for _, s := range subjects {
		switch {
		case s.Kind != kind:
		case kind == rbacv1.ServiceAccountKind:
			names = append(names, s.Namespace+"/"+s.Name)
		default:
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}
