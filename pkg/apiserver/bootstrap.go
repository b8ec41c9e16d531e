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

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// bootstrapWriters is the number of objects that are written concurrently. etcd syncs its log once for all
// pending writes, so this many cost hardly more than one.
const bootstrapWriters = 32

// bootstrapRetry bounds the retries of a write that timed out in etcd, which happens on a
// busy machine: 0.5 s, 1 s and so on up to 8 s between them, in addition to etcd's timeout of
// about 7 s.
var bootstrapRetry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 6}

// BootstrapObject is an object that exists before the server serves.
type BootstrapObject struct {
	// Resource is the plural name, with the group.
	Resource schema.GroupResource
	// Object is created if none of its name exists.
	Object runtime.Object
	// Reconcile changes the stored object in place and reports whether it did. If it is nil, an
	// existing object is not changed.
	Reconcile func(existing runtime.Object) bool
}

// bootstrapObjects returns the objects of every standalone server.
func bootstrapObjects() []BootstrapObject {
	var objects []BootstrapObject
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		objects = append(objects, BootstrapObject{
			Resource: corev1.Resource("namespaces"),
			Object:   &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		}, BootstrapObject{
			Resource: corev1.Resource("serviceaccounts"),
			Object:   &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}},
		})
	}
	return objects
}

// waitBootstrapped returns when all bootstrap objects, which New has begun to write, exist. If the
// objects could not be decrypted or encrypted, it returns one of the errors, because all have the same cause.
func (s *Server) waitBootstrapped() error {
	err := <-s.bootstrapped
	if cause := s.encryption.LastError(); err != nil && cause != nil {
		return cause
	}
	return err
}

// startBootstrap begins to write the bootstrap objects in the background.
func (s *Server) startBootstrap(ctx context.Context) {
	s.bootstrapped = make(chan error, 1)
	go func() { s.bootstrapped <- s.writeBootstrapObjects(ctx) }()
}

// writeBootstrapObjects writes directly to the storages, without admission, authorization and a
// loopback connection.
func (s *Server) writeBootstrapObjects(ctx context.Context) error {
	var wg sync.WaitGroup
	objects := make(chan BootstrapObject)
	errs := make([]error, bootstrapWriters)
	for i := range bootstrapWriters {
		wg.Go(func() {
			for object := range objects {
				written, err := s.ensureRetried(ctx, object)
				if err == nil {
					err = s.wrote(object.Resource, written)
				}
				if storage.IsInsufficientStorage(err) {
					// An administrator can delete objects only while the server runs.
					klog.ErrorS(err, "Bootstrap object was not written", "resource", object.Resource)
					err = nil
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	for _, object := range s.bootstrap {
		objects <- object
	}
	close(objects)
	wg.Wait()
	return errors.Join(errs...)
}

// bootstrapped is a storage of bootstrap objects.
type bootstrapped interface {
	rest.Getter
	rest.Creater
	rest.Updater
}

// ensureRetried repeats ensure while etcd or the KMS plugin of encryption at rest is temporarily unavailable.
func (s *Server) ensureRetried(ctx context.Context, object BootstrapObject) (written runtime.Object, err error) {
	err = retry.OnError(bootstrapRetry, func(err error) bool {
		unavailable := (storage.IsUnavailable(err) || s.encryption.PluginDown()) && ctx.Err() == nil
		if unavailable {
			klog.InfoS("Bootstrap object was not written, retrying", "resource", object.Resource, "err", err)
		}
		return unavailable
	}, func() error {
		var err error
		written, err = s.ensure(ctx, object)
		return err
	})
	return written, err
}

// ensure creates the object, or reconciles the existing one, and returns it as it is stored. Another server
// may write the same object concurrently.
func (s *Server) ensure(ctx context.Context, object BootstrapObject) (runtime.Object, error) {
	failed := func(err error) (runtime.Object, error) {
		return nil, fmt.Errorf("object of the first start in %s: %w", object.Resource, err)
	}
	accessor, err := meta.Accessor(object.Object)
	if err != nil {
		return failed(err)
	}
	stored := s.storages[object.Resource]
	if checked, ok := stored.(interface{ Unchecked() *base.Store }); ok {
		stored = checked.Unchecked() // the server itself has every right that it grants
	}
	storage, ok := stored.(bootstrapped)
	if !ok {
		return failed(fmt.Errorf("%T cannot be written to", s.storages[object.Resource]))
	}
	ctx = request.WithNamespace(ctx, accessor.GetNamespace())
	existing, err := storage.Get(ctx, accessor.GetName(), &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		existing, err = storage.Create(ctx, object.Object.DeepCopyObject(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		if err == nil {
			return existing, nil
		}
		if apierrors.IsAlreadyExists(err) {
			existing, err = storage.Get(ctx, accessor.GetName(), &metav1.GetOptions{})
		}
	}
	if err != nil {
		return failed(fmt.Errorf("%s: %w", accessor.GetName(), err))
	}
	if object.Reconcile == nil || !object.Reconcile(existing) {
		return existing, nil
	}
	updated, _, err := storage.Update(ctx, accessor.GetName(), reconciled{object}, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return failed(fmt.Errorf("%s: %w", accessor.GetName(), err))
	}
	return updated, nil
}

// wrote makes informers begin at the version of the object or later.
func (s *Server) wrote(resource schema.GroupResource, object runtime.Object) error {
	version, err := apistorage.APIObjectVersioner{}.ObjectResourceVersion(object)
	if err == nil {
		s.informers.wrote(resource, version)
	}
	return err
}

// reconciled is an update that starts from the current object, so that it never conflicts.
type reconciled struct{ BootstrapObject }

// Preconditions returns none.
func (reconciled) Preconditions() *metav1.Preconditions { return nil }

// UpdatedObject reconciles the current object, which may have changed since it was read.
func (r reconciled) UpdatedObject(_ context.Context, old runtime.Object) (runtime.Object, error) {
	changed := old.DeepCopyObject()
	r.Reconcile(changed)
	return changed, nil
}
