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

package base

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Scaling maps the fields of a Scale to those of the hub object of a resource.
type Scaling[T objectWithMeta] struct {
	// Replicas returns the desired number, which is never nil.
	Replicas func(T) *int32
	// Selector returns the selector of the counted objects, and StatusReplicas their number.
	Selector       func(T) *metav1.LabelSelector
	StatusReplicas func(T) int32
}

// ScaleREST is the scale endpoint of a resource: get, update and patch of an autoscaling/v1
// Scale, written through the resource's own store and strategy.
type ScaleREST[T objectWithMeta] struct {
	store   *Store
	scaling Scaling[T]
}

// NewScaleREST builds the scale endpoint of a resource.
func NewScaleREST[T objectWithMeta](store *Store, scaling Scaling[T]) *ScaleREST[T] {
	return &ScaleREST[T]{store: store, scaling: scaling}
}

// New returns an empty Scale.
func (r *ScaleREST[T]) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy does nothing: the resource's own storage closes what both share.
func (r *ScaleREST[T]) Destroy() {}

// GroupVersionKind returns autoscaling/v1 Scale for every resource: autoscalers and kubectl scale
// look it up in discovery.
func (r *ScaleREST[T]) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

// Get returns the Scale of the object.
func (r *ScaleREST[T]) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.store.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	return r.scaleOf(obj)
}

// Update sets the replicas. It never creates an object, not even with forceAllowCreate.
func (r *ScaleREST[T]) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	validate := func(ctx context.Context, obj, old runtime.Object) error {
		scale, err := r.scaleOf(obj)
		if err != nil {
			return err
		}
		oldScale, err := r.scaleOf(old)
		if err != nil {
			return err
		}
		return updateValidation(ctx, scale, oldScale)
	}
	obj, _, err := r.store.Update(ctx, name, &scaledObject[T]{r, name, objInfo}, rest.ValidateAllObjectFunc, validate, false, options)
	if err != nil {
		return nil, false, err
	}
	scale, err := r.scaleOf(obj)
	return scale, false, err
}

// scaleTable has the columns of a Scale in a kube-apiserver.
var scaleTable = Table(
	NameColumn[*autoscalingv1.Scale](),
	Column[*autoscalingv1.Scale]{Name: "Desired", Type: "integer", Description: autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"], Value: func(s *autoscalingv1.Scale) any { return int64(s.Spec.Replicas) }},
	Column[*autoscalingv1.Scale]{Name: "Available", Type: "integer", Description: autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"], Value: func(s *autoscalingv1.Scale) any { return int64(s.Status.Replicas) }},
	AgeColumn[*autoscalingv1.Scale](),
)

// ConvertToTable returns the columns of a Scale.
func (r *ScaleREST[T]) ConvertToTable(ctx context.Context, object runtime.Object, tableOptions runtime.Object) (*metav1.Table, error) {
	return scaleTable.ConvertToTable(ctx, object, tableOptions)
}

// scaleOf returns the Scale of an object.
func (r *ScaleREST[T]) scaleOf(obj runtime.Object) (*autoscalingv1.Scale, error) {
	object, ok := obj.(T)
	if !ok {
		return nil, fmt.Errorf("scale of %T: got a %T", *new(T), obj)
	}
	selector, err := metav1.LabelSelectorAsSelector(r.scaling.Selector(object))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name:              object.GetName(),
			Namespace:         object.GetNamespace(),
			UID:               object.GetUID(),
			ResourceVersion:   object.GetResourceVersion(),
			CreationTimestamp: object.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: *r.scaling.Replicas(object)},
		Status: autoscalingv1.ScaleStatus{Replicas: r.scaling.StatusReplicas(object), Selector: selector.String()},
	}, nil
}

// scaledObject applies a change of the Scale to the object.
type scaledObject[T objectWithMeta] struct {
	rest    *ScaleREST[T]
	name    string
	objInfo rest.UpdatedObjectInfo
}

// Preconditions returns the caller's preconditions.
func (s *scaledObject[T]) Preconditions() *metav1.Preconditions { return s.objInfo.Preconditions() }

// UpdatedObject passes the object's Scale to the caller's change, and copies the replicas, the
// resourceVersion as a precondition, and the managedFields of the result.
func (s *scaledObject[T]) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	object, ok := old.DeepCopyObject().(T)
	if !ok {
		return nil, fmt.Errorf("scale of %T: got a %T", *new(T), old)
	}
	resource := s.rest.store.DefaultQualifiedResource
	resource.Resource += "/scale"
	if object.GetResourceVersion() == "" {
		return nil, apierrors.NewNotFound(resource, s.name)
	}
	paths := managedfields.ResourcePathMappings{}
	// In each version the replicas are at spec.replicas: managedFields move between there and the Scale.
	versions := s.rest.store.versions
	for _, version := range versions {
		paths[version.String()] = fieldpath.MakePathOrDie("spec", "replicas")
	}
	managed := managedfields.NewScaleHandler(object.GetManagedFields(), versions[0], paths)
	oldScale, err := s.rest.scaleOf(object)
	if err != nil {
		return nil, err
	}
	if oldScale.ManagedFields, err = managed.ToSubresource(); err != nil {
		return nil, err
	}
	changed, err := s.objInfo.UpdatedObject(ctx, oldScale)
	if err != nil {
		return nil, err
	}
	scale, ok := changed.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Scale: %T", changed))
	}
	if scale.Spec.Replicas < 0 {
		return nil, apierrors.NewInvalid(autoscalingv1.SchemeGroupVersion.WithKind("Scale").GroupKind(), s.name, field.ErrorList{
			field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, "must be greater than or equal to 0"),
		})
	}
	if scale.UID != "" && scale.UID != object.GetUID() {
		return nil, apierrors.NewConflict(resource, s.name, fmt.Errorf("metadata.uid is %s, but that of the object is %s", scale.UID, object.GetUID()))
	}
	*s.rest.scaling.Replicas(object) = scale.Spec.Replicas
	object.SetResourceVersion(scale.ResourceVersion)
	entries, err := managed.ToParent(scale.ManagedFields)
	if err != nil {
		return nil, err
	}
	object.SetManagedFields(entries)
	return object, nil
}
