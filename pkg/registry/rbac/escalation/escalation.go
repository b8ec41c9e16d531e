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

// Package escalation refuses writes of roles and bindings that grant rights which the caller does
// not have.
//
// Stage 4 of the request's path (see ARCHITECTURE.md), for four resources with a Store as their
// storage. Read Store.Update first.
package escalation

import (
	"context"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Checker decides whether the caller of a request may grant rights that the caller does not have;
// pkg/authorization/rbac implements it.
type Checker interface {
	// MayWriteRules returns nil if the caller may write a role with these rules. The resource is
	// roles or clusterroles; the namespace is empty for cluster roles.
	MayWriteRules(ctx context.Context, resource, namespace, name string, rules []rbacv1.PolicyRule) error
	// MayBind returns nil if the caller may bind the role in the namespace, and NotFound if there
	// is no such role.
	MayBind(ctx context.Context, namespace string, ref rbacv1.RoleRef) error
}

// Store is a storage of roles or bindings that checks each write by a caller.
type Store struct {
	*base.Store
	// Check returns an error if the caller may not change old, which is an empty object on create,
	// into obj. It is not called if the two differ only in what the garbage collector changes.
	Check func(ctx context.Context, obj, old runtime.Object) error
}

// Unchecked returns the storage for writes of the server itself before it serves.
func (s *Store) Unchecked() *base.Store { return s.Store }

// Create checks the object after defaults and mutating admission.
func (s *Store) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if err := s.check(ctx, obj, s.New()); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, obj, createValidation, options)
}

// Update checks the new object of an update, patch or apply each time that it is computed: after
// a conflict it may be another one.
func (s *Store) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(objInfo, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		return obj, s.check(ctx, obj, old)
	})
	return s.Store.Update(ctx, name, checked, createValidation, updateValidation, forceAllowCreate, options)
}

func (s *Store) check(ctx context.Context, obj, old runtime.Object) error {
	collected, err := onlyCollected(obj, old)
	if err != nil || collected {
		return err
	}
	err = s.Check(ctx, obj, old)
	if err == nil || apierrors.IsNotFound(err) {
		return err
	}
	object, accessErr := apimeta.Accessor(obj)
	if accessErr != nil {
		return accessErr
	}
	// The path of a create has no name.
	return apierrors.NewForbidden(s.DefaultQualifiedResource, object.GetName(), err)
}

// onlyCollected reports whether the two differ at most in what the garbage collector writes, which
// deletes objects that it could not grant. Every other change needs the rights, also a label by
// which another role aggregates the rules.
func onlyCollected(obj, old runtime.Object) (bool, error) {
	var cleared [2]runtime.Object
	for i, o := range []runtime.Object{obj, old} {
		cleared[i] = o.DeepCopyObject()
		object, err := apimeta.Accessor(cleared[i])
		if err != nil {
			return false, err
		}
		// The result of a merge patch has its kind, and the stored object does not.
		cleared[i].GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		object.SetOwnerReferences(nil)
		object.SetFinalizers(nil)
		object.SetManagedFields(nil)
	}
	return apiequality.Semantic.DeepEqual(cleared[0], cleared[1]), nil
}

// RequestName returns the name in the request's path, which is empty for a create. As in
// Kubernetes, a verb that is granted for some names only lifts no check of a create.
func RequestName(ctx context.Context) string {
	if info, ok := request.RequestInfoFrom(ctx); ok {
		return info.Name
	}
	return ""
}

// FormatSubjects returns the names of the subjects of a kind, as kubectl prints them.
func FormatSubjects(subjects []rbacv1.Subject, kind string) string {
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
