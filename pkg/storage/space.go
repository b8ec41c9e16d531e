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

package storage

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
)

const (
	// SpaceCheck and DiskCheck are the names of the checks of /readyz that fail while there is no space for new
	// objects, because of the quota of the database and because of the disk. /readyz itself withholds the reason,
	// which /readyz/storage-space and /readyz/storage-disk have.
	SpaceCheck = "storage-space"
	DiskCheck  = "storage-disk"

	// ReasonInsufficientStorage is the reason in the Status of a write for which there is no space. Its
	// code is 507, which RFC 4918 defines for this case, and which clients take neither for an
	// error of the request nor for one to retry.
	ReasonInsufficientStorage metav1.StatusReason = "InsufficientStorage"
)

// Space decides whether there is space for writes: see pkg/storage/space. Deletes are never refused.
type Space interface {
	// RefuseCreate returns the response to a create for which there is no space, and nil otherwise.
	RefuseCreate() error
	// RefuseUpdate returns the response to an update for which there is no space, and nil otherwise.
	RefuseUpdate() error
	// Writing records that a value of so many bytes is about to be written.
	Writing(bytes int)
	// Refused records that etcd has refused a write because its database has reached its quota, and
	// returns the response.
	Refused() error
}

// NewInsufficientStorage returns the response to a write for which there is no space.
func NewInsufficientStorage(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: ReasonInsufficientStorage, Message: message,
	}}
}

// IsInsufficientStorage reports whether a write was refused because there is no space.
func IsInsufficientStorage(err error) bool {
	return apierrors.ReasonForError(err) == ReasonInsufficientStorage
}

// WithSpace returns a getter of storages that refuse writes for which there is no space, and that replace
// the errors of etcd for writes without space and for writes that are too large.
func WithSpace(getter generic.RESTOptionsGetter, space Space) generic.RESTOptionsGetter {
	return spaceGetter{getter, space}
}

type spaceGetter struct {
	generic.RESTOptionsGetter
	space Space
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g spaceGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	decorate := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		counted := *config
		counted.Transformer = countingTransformer{cmp.Or(config.Transformer, identity.NewEncryptCheckTransformer()), g.space}
		store, destroy, err := decorate(&counted, resourcePrefix, keyFunc, newFunc, newListFunc, attrs, triggers, indexers)
		if err != nil {
			return nil, nil, err
		}
		return &spaceStorage{store, g.space}, sync.OnceFunc(destroy), nil
	}
	return options, nil
}

// countingTransformer records the sizes of values as they are written.
type countingTransformer struct {
	value.Transformer
	space Space
}

// TransformToStorage implements value.Transformer.
func (t countingTransformer) TransformToStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, error) {
	out, err := t.Transformer.TransformToStorage(ctx, data, dataCtx)
	if err == nil {
		t.space.Writing(len(out))
	}
	return out, err
}

// spaceStorage translates the errors of the three methods that write, and refuses two of them.
type spaceStorage struct {
	storage.Interface
	space Space
}

// Unwrap returns the storage below.
func (s *spaceStorage) Unwrap() storage.Interface { return s.Interface }

// translate replaces etcd's error for a write that has no space or is too large by a Status with the
// cure.
func (s *spaceStorage) translate(err error) error {
	if err == nil || !errors.Is(err, rpctypes.ErrNoSpace) && !errors.Is(err, rpctypes.ErrGRPCNoSpace) {
		return translateSize(err)
	}
	return s.space.Refused()
}

// Create implements storage.Interface.
func (s *spaceStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := s.space.RefuseCreate(); err != nil {
		return err
	}
	return s.translate(s.Interface.Create(ctx, key, obj, out, ttl))
}

// Delete implements storage.Interface.
func (s *spaceStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	return s.translate(s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts))
}

// GuaranteedUpdate implements storage.Interface.
func (s *spaceStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object) error {
	if err := s.space.RefuseUpdate(); err != nil {
		return err
	}
	return s.translate(s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached))
}
