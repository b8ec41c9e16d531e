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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// ResourceStrategy is what the strategy of a resource implements.
type ResourceStrategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
	rest.RESTDeleteStrategy
	fieldResetter
}

// StatusStrategy is what the strategy of a resource's status endpoint implements.
type StatusStrategy interface {
	rest.RESTUpdateStrategy
	fieldResetter
}

// fieldResetter returns the fields that a write to the endpoint leaves unchanged; nil for none.
type fieldResetter interface{ ResetFields() *fieldpath.Set }

// resetFields names the same fields in every served version: under the name of another version
// they have no effect on managedFields.
type resetFields struct {
	versions []schema.GroupVersion
	strategy fieldResetter
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r resetFields) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	byVersion := map[fieldpath.APIVersion]*fieldpath.Set{}
	if fields := r.strategy.ResetFields(); fields != nil {
		for _, version := range r.versions {
			byVersion[fieldpath.APIVersion(version.String())] = fields
		}
	}
	return byVersion
}

// StorageOptions are the inputs of a StorageProvider that are the same for every group.
type StorageOptions struct {
	// RESTOptions leads to etcd.
	RESTOptions generic.RESTOptionsGetter
	// GarbageCollected is true if a garbage collector follows ownerReferences. Without one, delete
	// with foreground or orphan propagation would wait forever for its finalizer to be removed, and
	// is refused.
	GarbageCollected bool
}

// GroupStorage holds the storages of API groups, by group, version and path.
type GroupStorage map[string]map[string]map[string]rest.Storage

// StorageProvider builds the storages of one API group, or of several that share storages. Its
// fields are the group's own inputs.
type StorageProvider interface {
	// GroupName returns the name of the group, or of the first of several.
	GroupName() string
	NewStorage(scheme *runtime.Scheme, opts StorageOptions) (GroupStorage, error)
}

// Resource describes a stored resource, as data.
type Resource struct {
	// Resource and Singular are the plural and singular names, with the group.
	Resource, Singular schema.GroupResource
	// ShortNames and Categories are accepted by kubectl in place of the name.
	ShortNames, Categories []string
	// Versions are all that serve the resource. The fields that a write leaves unchanged, and
	// spec.replicas of a scale endpoint, are named in each of them.
	Versions []schema.GroupVersion
	// New and NewList return an empty object of the hub type, and a list.
	New, NewList func() runtime.Object
	// Strategy prepares and validates writes.
	Strategy ResourceStrategy
	// Table returns the columns that kubectl prints.
	Table rest.TableConvertor
	// SelectableFields sets the fields, besides name and namespace, that a field selector may name;
	// nil for none. The scheme's field label conversion of the kind must accept the same.
	SelectableFields storage.FieldMutationFunc
	// WatchIndex is the selectable field by which the watch cache dispatches: a watch with an exact
	// match on it costs nothing for events of other values. The cacher accepts one for each resource.
	WatchIndex string
	// Indexes return the value of each indexed field, WatchIndex among them; a LIST with an exact
	// match on one of them reads only matching objects.
	Indexes map[string]storage.IndexerFunc
	// ShouldDeleteDuringUpdate reports whether a write removes an object that is being deleted; nil for
	// the library's rule, which reads metadata only.
	ShouldDeleteDuringUpdate func(ctx context.Context, key string, obj, existing runtime.Object) bool
	// TTL is the time for which an object is kept after the last write to it; zero means forever.
	TTL time.Duration
}

// Store is the storage of one resource. The generic store is embedded, never a named
// field: the installer finds optional interfaces by type assertion.
type Store struct {
	*genericregistry.Store

	shortNames, categories []string
	versions               []schema.GroupVersion
	watchIndex             string
	garbageCollected       bool
}

var (
	_ rest.StandardStorage    = &Store{}
	_ rest.ShortNamesProvider = &Store{}
	_ rest.CategoriesProvider = &Store{}
)

// NewStore builds the storage of a resource. All served versions and the status endpoint share
// it: each store has a watch cache.
func NewStore(r Resource, opts StorageOptions) (*Store, error) {
	if len(r.Versions) == 0 {
		return nil, fmt.Errorf("storage of %s: Versions is empty: list the versions that serve the resource", r.Resource)
	}
	store := &genericregistry.Store{
		NewFunc:                   r.New,
		NewListFunc:               r.NewList,
		DefaultQualifiedResource:  r.Resource,
		SingularQualifiedResource: r.Singular,
		CreateStrategy:            r.Strategy,
		UpdateStrategy:            r.Strategy,
		DeleteStrategy:            r.Strategy,
		ResetFieldsStrategy:       resetFields{r.Versions, r.Strategy},
		ReturnDeletedObject:       true,
		TableConvertor:            r.Table,
		ShouldDeleteDuringUpdate:  r.ShouldDeleteDuringUpdate,
	}
	if r.TTL > 0 {
		seconds := uint64(r.TTL.Seconds())
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return seconds, nil }
	}
	storeOptions := &generic.StoreOptions{RESTOptions: opts.RESTOptions}
	if r.SelectableFields != nil {
		attrs := storage.AttrFunc(storage.DefaultClusterScopedAttr)
		if r.Strategy.NamespaceScoped() {
			attrs = storage.DefaultNamespaceScopedAttr
		}
		storeOptions.AttrFunc = attrs.WithFieldMutation(r.SelectableFields)
	}
	if len(r.Indexes) > 0 {
		if err := addIndexes(r, store, storeOptions); err != nil {
			return nil, err
		}
	}
	if err := store.CompleteWithOptions(storeOptions); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", r.Resource, err)
	}
	store.Storage.Storage = uidBoundStorage{store.Storage.Storage}

	return &Store{
		Store:            store,
		shortNames:       r.ShortNames,
		categories:       r.Categories,
		versions:         r.Versions,
		watchIndex:       r.WatchIndex,
		garbageCollected: opts.GarbageCollected,
	}, nil
}

// Base returns the store itself, also of a resource that embeds one.
func (s *Store) Base() *Store { return s }

// NewStatusREST returns an endpoint below the resource, such as its status, at which the strategy
// decides what a write may change.
func (s *Store) NewStatusREST(strategy StatusStrategy) *StatusREST {
	store := *s.Store
	store.UpdateStrategy = strategy
	store.ResetFieldsStrategy = resetFields{s.versions, strategy}
	return &StatusREST{store: &store}
}

// ShortNames returns the names that kubectl accepts besides the resource's own.
func (s *Store) ShortNames() []string { return s.shortNames }

// Categories returns the names, such as fleet, that kubectl accepts for several resources.
func (s *Store) Categories() []string { return s.categories }

// WatchIndex returns the field by which the watch cache dispatches; empty for none.
func (s *Store) WatchIndex() string { return s.watchIndex }

// Create refuses an object with a resourceVersion, such as an exported one; the library returns
// a 500, and a success for a dry run.
func (s *Store) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	object, err := apimeta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	if object.GetResourceVersion() != "" {
		return nil, invalidVersion(s.Store, obj, object, "must not be set on an object that is to be created: remove it")
	}
	clearType(obj)
	return s.Store.Create(ctx, obj, createValidation, options)
}

// Get returns 400 for an invalid resourceVersion.
func (s *Store) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.Store.Get(ctx, name, options)
	return obj, invalidIsBadRequest(err)
}

// invalidIsBadRequest returns a 400 for an invalid resourceVersion, as LIST does; the library
// returns 500 for this error of the storage.
func invalidIsBadRequest(err error) error {
	if storage.IsInvalidError(err) {
		return apierrors.NewBadRequest(err.Error())
	}
	return err
}

// Update returns 422 for an invalid resourceVersion. It also handles patches, and removes the object's
// content from their errors.
func (s *Store) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	stored := &storedObject{UpdatedObjectInfo: objInfo}
	ctx, objInfo = rememberUpdated(ctx, stored)
	obj, created, err := s.Store.Update(ctx, name, checkVersion(s.Store, objInfo), createValidation, updateValidation, forceAllowCreate, options)
	diagnostics.Conflict(ctx, err, stored.object)
	return obj, created, withoutContent(err)
}

// clearType removes kind and apiVersion. Hub types of the fleet have none; a hub type that is also the
// wire type keeps those of the body, which would be stored in the watch cache and returned in every
// item of a list.
func clearType(obj runtime.Object) {
	if kind := obj.GetObjectKind(); !kind.GroupVersionKind().Empty() {
		kind.SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

// checkVersion returns 422 with the field's name for an invalid resourceVersion; the library returns
// a 500 that names no field. It also removes kind and apiVersion.
func checkVersion(store *genericregistry.Store, objInfo rest.UpdatedObjectInfo) rest.UpdatedObjectInfo {
	return rest.WrapUpdatedObjectInfo(objInfo, func(_ context.Context, obj, existing runtime.Object) (runtime.Object, error) {
		object, err := apimeta.Accessor(obj)
		if err != nil {
			return nil, err
		}
		if _, err := (storage.APIObjectVersioner{}).ParseResourceVersion(object.GetResourceVersion()); err != nil {
			return nil, invalidVersion(store, obj, object, "must be the resourceVersion with which the server sent the object")
		}
		clearType(obj)
		// The field manager sets the kind of the existing object, too: it converts without a copy. An
		// apply that changes nothing would differ by it, and be written.
		clearType(existing)
		return obj, nil
	})
}

func invalidVersion(store *genericregistry.Store, obj runtime.Object, object metav1.Object, cure string) error {
	kinds, _, err := store.CreateStrategy.ObjectKinds(obj)
	if err != nil {
		return err
	}
	return apierrors.NewInvalid(kinds[0].GroupKind(), object.GetName(), field.ErrorList{
		field.Invalid(field.NewPath("metadata", "resourceVersion"), object.GetResourceVersion(), cure),
	})
}

// Delete refuses propagation policies that need a garbage collector if there is none; see
// StorageOptions.
func (s *Store) Delete(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	if err := s.CheckPropagation(options); err != nil {
		return nil, false, err
	}
	obj, deleted, err := s.Store.Delete(withRequestedGrace(ctx, options), name, deleteValidation, options)
	if apierrors.IsConflict(err) && diagnostics.From(ctx) != nil {
		if stored, getErr := s.Store.Get(ctx, name, &metav1.GetOptions{}); getErr == nil {
			diagnostics.Conflict(ctx, err, stored)
		}
	}
	return obj, deleted, err
}

// DeleteCollection refuses the same propagation policies as Delete.
func (s *Store) DeleteCollection(ctx context.Context, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions, listOptions *metainternalversion.ListOptions) (runtime.Object, error) {
	if err := s.CheckPropagation(options); err != nil {
		return nil, err
	}
	return s.Store.DeleteCollection(withRequestedGrace(ctx, options), deleteValidation, options, listOptions)
}

// CheckPropagation returns an error for the propagation policies that Delete refuses.
func (s *Store) CheckPropagation(options *metav1.DeleteOptions) error {
	if s.garbageCollected || options == nil {
		return nil
	}
	const cure = "no garbage collector runs in this server, so the object would never go away; use Background (kubectl: --cascade=background)"
	var errs field.ErrorList
	if policy := options.PropagationPolicy; policy != nil && (*policy == metav1.DeletePropagationForeground || *policy == metav1.DeletePropagationOrphan) {
		errs = append(errs, field.Invalid(field.NewPath("propagationPolicy"), *policy, cure))
	}
	//lint:ignore SA1019 deprecated, but served as orphan propagation
	if orphan := options.OrphanDependents; orphan != nil && *orphan {
		errs = append(errs, field.Invalid(field.NewPath("orphanDependents"), *orphan, cure))
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
}

// StatusREST is the status endpoint of a resource: get, update and patch of the status only.
type StatusREST struct {
	store *genericregistry.Store
}

var (
	_ rest.Patcher             = &StatusREST{}
	_ rest.Storage             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// New returns an empty object.
func (r *StatusREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the resource's own storage closes what both share.
func (r *StatusREST) Destroy() {}

// Get returns the whole object, which patches need.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.store.Get(ctx, name, options)
	return obj, invalidIsBadRequest(err)
}

// Update writes the status. It never creates an object, not even with forceAllowCreate.
func (r *StatusREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	stored := &storedObject{UpdatedObjectInfo: objInfo}
	ctx, objInfo = rememberUpdated(ctx, stored)
	obj, created, err := r.store.Update(ctx, name, checkVersion(r.store, objInfo), createValidation, updateValidation, false, options)
	diagnostics.Conflict(ctx, err, stored.object)
	return obj, created, withoutContent(err)
}

// GetResetFields returns the fields that a write to the status endpoint leaves unchanged.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable returns the same columns as the resource.
func (r *StatusREST) ConvertToTable(ctx context.Context, object runtime.Object, tableOptions runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, tableOptions)
}
