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
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// readTimeout bounds the second read of an object by the check of /readyz.
const readTimeout = 3 * time.Second

// reader reads the objects of a resource from etcd.
type reader struct {
	apistorage.Interface
	newObject func() runtime.Object
	prefix    string // of the keys in etcd, which the interface adds
}

// ReadBack returns a getter of storages with which the check of /readyz reads objects again. It wraps the
// getter that decides which storages there are.
func (e *Encryption) ReadBack(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return readBackGetter{getter, e}
}

type readBackGetter struct {
	generic.RESTOptionsGetter
	encryption *Encryption
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g readBackGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || options.Decorator == nil {
		return options, err
	}
	decorate := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, getAttrs apistorage.AttrFunc, triggers apistorage.IndexerFuncs, indexers *cache.Indexers) (apistorage.Interface, factory.DestroyFunc, error) {
		store, destroy, err := decorate(config, resourcePrefix, keyFunc, newFunc, newListFunc, getAttrs, triggers, indexers)
		if err == nil {
			g.encryption.mu.Lock()
			g.encryption.readers[resource] = reader{store, newFunc, config.Prefix}
			g.encryption.mu.Unlock()
		}
		return store, destroy, err
	}
	return options, nil
}

// miss remembers the key in etcd of an object whose key of encryption the configuration does not have.
func (e *Encryption) miss(resource schema.GroupResource, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missing[resource] = key
}

// canDecrypt returns an error if an object that could not be decrypted, because the configuration has no such
// key, still cannot be. It reads that object again, as it is now: the failed read may have been of a former
// version, which was written with a key that a rotation has dropped, and the object may be deleted.
func (e *Encryption) canDecrypt(ctx context.Context) error {
	e.mu.Lock()
	missing := e.missing
	if len(missing) > 0 {
		e.missing = map[schema.GroupResource]string{}
	}
	e.mu.Unlock()
	for resource, key := range missing {
		if err := e.readAgain(ctx, resource, key); err != nil {
			e.restore(missing)
			return err
		}
	}
	if len(missing) > 0 {
		e.readable()
	}
	return nil
}

// readAgain returns an error unless the object can be read or is deleted.
func (e *Encryption) readAgain(ctx context.Context, resource schema.GroupResource, key string) error {
	e.mu.Lock()
	from, ok := e.readers[resource]
	e.mu.Unlock()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := from.Get(ctx, strings.TrimPrefix(key, from.prefix), apistorage.GetOptions{}, from.newObject())
	if err == nil || apistorage.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("an object of %s could not be decrypted, and cannot be read: add the missing key to the file of --encryption-provider-config: %w", resource, err)
}

// restore keeps what was not read again for the next check.
func (e *Encryption) restore(missing map[schema.GroupResource]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for resource, key := range missing {
		if _, ok := e.missing[resource]; !ok {
			e.missing[resource] = key
		}
	}
}

// readable logs that the missing keys are there, so that the next one that is missing is logged again.
func (e *Encryption) readable() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.missing) == 0 {
		clear(e.logged)
		e.log.Info("Objects that could not be decrypted are deleted or can be read again")
	}
}
