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

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
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

// StorageOptions are what a group's storage provider gets from the server.
type StorageOptions struct {
	// RESTOptions leads to etcd.
	RESTOptions generic.RESTOptionsGetter
	// GarbageCollected says that somebody collects garbage by ownerReferences. Where nobody
	// does, delete with foreground or orphan propagation would hang forever on its
	// finalizer and is refused.
	GarbageCollected bool
	// AccountTokens gives out service accounts' tokens. Where it is nil, nobody does, and the
	// endpoints for it are not served.
	AccountTokens AccountTokens
	// CallerUpdates writes what a request does not name. Where it is nil, nobody does, and the
	// endpoints for it are not served.
	CallerUpdates CallerUpdates
}

// CallerUpdates makes updates for endpoints that write another object than the one that was
// sent to them: each is an update by the caller, with managedFields and admission.
type CallerUpdates interface {
	Of(store *Store, resource schema.GroupVersionResource, kind schema.GroupVersionKind) CallerUpdate
}

// CallerUpdate writes what change makes of a copy of the stored object; change is called
// again with a newer one when somebody else wrote meanwhile.
type CallerUpdate func(ctx context.Context, name string, options *metav1.UpdateOptions, change rest.TransformFunc) (runtime.Object, error)

// AccountTokens answers a TokenRequest for the service account of the name: with a token of
// this server's, or with one of the cluster's. admit, which may be nil, is asked about the
// complete request; a dry run gives out no token.
type AccountTokens interface {
	RequestToken(ctx context.Context, namespace, account string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error, dryRun bool) (*authenticationv1.TokenRequest, error)
}

// Resource describes a stored resource, as data.
type Resource struct {
	// Resource and Singular are the plural and singular names, with the group.
	Resource, Singular schema.GroupResource
	// ShortNames and Categories are what kubectl accepts in place of the name.
	ShortNames, Categories []string
	// Versions are all that serve the resource. The fields that a write leaves unchanged, and
	// spec.replicas of a scale endpoint, are named in each of them.
	Versions []schema.GroupVersion
	// New and NewList return an empty object of the hub type, and a list.
	New, NewList func() runtime.Object
	// Strategy prepares and validates writes.
	Strategy ResourceStrategy
	// Table makes the columns that kubectl prints.
	Table rest.TableConvertor
	// SelectableFields fills in the fields, besides name and namespace, that a field
	// selector may name; nil where there are none. The scheme's field label conversion of
	// the kind must name the same.
	SelectableFields storage.FieldMutationFunc
	// WatchIndex is the one selectable field by which the watch cache dispatches: a watch
	// with an exact match on it costs nothing for events of other values. The cacher takes
	// no more than one for each resource.
	WatchIndex string
	// Indexes give the value of each indexed field, WatchIndex among them; a LIST with an
	// exact match on one of them looks only at what matches.
	Indexes map[string]storage.IndexerFunc
	// ShouldDeleteDuringUpdate says whether a write is the last one to an object that is
	// being deleted; nil for the library's rule, which looks at metadata only.
	ShouldDeleteDuringUpdate func(ctx context.Context, key string, obj, existing runtime.Object) bool
	// TTL is how long an object lives after the last write to it; zero for ever.
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

// addIndexes tells the watch cache which fields to index, and has every selector say
// which of them it could use.
func addIndexes(r Resource, store *genericregistry.Store, options *generic.StoreOptions) error {
	indexFields := make([]string, 0, len(r.Indexes))
	indexers := cache.Indexers{}
	for name, value := range r.Indexes {
		indexFields = append(indexFields, name)
		indexers[storage.FieldIndex(name)] = func(obj any) ([]string, error) {
			object, ok := obj.(runtime.Object)
			if !ok {
				return nil, fmt.Errorf("index %s of %s: %T is no API object", name, r.Resource, obj)
			}
			return []string{value(object)}, nil
		}
	}
	options.Indexers = &indexers
	if r.WatchIndex != "" {
		trigger, ok := r.Indexes[r.WatchIndex]
		if !ok {
			return fmt.Errorf("storage of %s: WatchIndex %q is not among the indexes", r.Resource, r.WatchIndex)
		}
		options.TriggerFunc = storage.IndexerFuncs{r.WatchIndex: trigger}
	}
	attrs := options.AttrFunc
	store.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attrs, IndexFields: indexFields}
	}
	return nil
}

// ShortNames are the names that kubectl accepts besides the resource's own.
func (s *Store) ShortNames() []string { return s.shortNames }

// Categories are the groups of resources, such as fleet, that kubectl accepts for many.
func (s *Store) Categories() []string { return s.categories }

// WatchIndex is the field by which the watch cache dispatches; empty for none.
func (s *Store) WatchIndex() string { return s.watchIndex }

// Create refuses a resourceVersion, such as that of an object that was exported elsewhere;
// the library answers with a 500, and with a success to a dry run.
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

// Get refuses a resourceVersion that is none as the caller's fault.
func (s *Store) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.Store.Get(ctx, name, options)
	return obj, invalidIsBadRequest(err)
}

// invalidIsBadRequest answers 400 to a resourceVersion that is none, as LIST does; the
// library lets this error of the storage through as a 500.
func invalidIsBadRequest(err error) error {
	if storage.IsInvalidError(err) {
		return apierrors.NewBadRequest(err.Error())
	}
	return err
}

// Update refuses a resourceVersion that is none as the caller's fault. Patches come here, too:
// what is wrong with one is said without the object's content.
func (s *Store) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	ctx, objInfo = rememberUpdated(ctx, objInfo)
	obj, created, err := s.Store.Update(ctx, name, checkVersion(s.Store, objInfo), createValidation, updateValidation, forceAllowCreate, options)
	return obj, created, withoutContent(err)
}

// clearType removes kind and apiVersion. Hub types of our own never carry them; those that
// are at the same time the version on the wire keep what the body said, which would be
// stored in the watch cache and come back in every item of a list.
func clearType(obj runtime.Object) {
	if kind := obj.GetObjectKind(); !kind.GroupVersionKind().Empty() {
		kind.SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

// checkVersion names the field when an update carries a resourceVersion that is none; the
// library answers with a 500 that names nothing. On the way it removes kind and apiVersion.
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
		// The field manager has put the kind into the existing object, too: it converts without a
		// copy. An apply that changes nothing would differ by it, and be written.
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

// Delete refuses propagation policies that nobody would carry out; see StorageOptions.
func (s *Store) Delete(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	if err := s.CheckPropagation(options); err != nil {
		return nil, false, err
	}
	return s.Store.Delete(withRequestedGrace(ctx, options), name, deleteValidation, options)
}

// DeleteCollection refuses propagation policies that nobody would carry out; see StorageOptions.
func (s *Store) DeleteCollection(ctx context.Context, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions, listOptions *metainternalversion.ListOptions) (runtime.Object, error) {
	if err := s.CheckPropagation(options); err != nil {
		return nil, err
	}
	return s.Store.DeleteCollection(withRequestedGrace(ctx, options), deleteValidation, options, listOptions)
}

// CheckPropagation refuses what nobody would carry out; Delete and DeleteCollection call it.
func (s *Store) CheckPropagation(options *metav1.DeleteOptions) error {
	if s.garbageCollected || options == nil {
		return nil
	}
	const cure = "no garbage collector runs in this server, so the object would never go away; use Background (kubectl: --cascade=background)"
	var errs field.ErrorList
	if policy := options.PropagationPolicy; policy != nil && (*policy == metav1.DeletePropagationForeground || *policy == metav1.DeletePropagationOrphan) {
		errs = append(errs, field.Invalid(field.NewPath("propagationPolicy"), *policy, cure))
	}
	//lint:ignore SA1019 deprecated, but served: it means orphan propagation
	if orphan := options.OrphanDependents; orphan != nil && *orphan {
		errs = append(errs, field.Invalid(field.NewPath("orphanDependents"), *orphan, cure))
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
}

// StatusREST is the status endpoint of a resource: get, update and patch of nothing but
// the status.
type StatusREST struct {
	store *genericregistry.Store
}

var (
	_ rest.Patcher             = &StatusREST{}
	_ rest.Storage             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// New makes an empty object.
func (r *StatusREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the resource's own storage closes what both share.
func (r *StatusREST) Destroy() {}

// Get returns the whole object; patch needs it.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.store.Get(ctx, name, options)
	return obj, invalidIsBadRequest(err)
}

// Update writes the status. It never creates, whatever the caller allows.
func (r *StatusREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	ctx, objInfo = rememberUpdated(ctx, objInfo)
	obj, created, err := r.store.Update(ctx, name, checkVersion(r.store, objInfo), createValidation, updateValidation, false, options)
	return obj, created, withoutContent(err)
}

// GetResetFields names what a write to the status endpoint leaves as it is.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable prints the same columns as the resource.
func (r *StatusREST) ConvertToTable(ctx context.Context, object runtime.Object, tableOptions runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, tableOptions)
}
