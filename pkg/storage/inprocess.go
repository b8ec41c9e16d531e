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
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/registry/generic"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// LocalEtcd is an etcd in this process: see embedded.Server.
type LocalEtcd interface {
	// NewClient returns a client that calls etcd's functions, without a connection.
	NewClient() *clientv3.Client
	// Endpoints returns the addresses for clients with a connection.
	Endpoints() []string
	// Clustered reports whether the etcd has, or can have, peers.
	Clustered() bool
}

// InProcess returns a getter of storages that call the functions of an etcd in this process, where the
// library's storages use gRPC over a socket. This saves a connection per storage, hence start time
// and memory: see docs/decisions/0010-storages-call-etcd-in-their-process.md. The options must be
// connected to the same etcd: health checks and the size metric still use its socket.
//
// The library creates its clients itself and accepts no other, so this file rebuilds the store of
// newETCD3Storage, the compactor of startCompactorOnce and the watch cache of StorageWithCacher from
// the library's exported parts. mirrored_test.go fails when an upgrade changes the originals.
func InProcess(getter generic.RESTOptionsGetter, options *genericoptions.EtcdOptions, etcd LocalEtcd) (generic.RESTOptionsGetter, error) {
	sizes, err := genericoptions.ParseWatchCacheSizes(options.WatchCacheSizes)
	if err != nil {
		return nil, err
	}
	return &inProcess{RESTOptionsGetter: getter, etcd: etcd, sizes: sizes, cached: options.EnableWatchCache}, nil
}

type inProcess struct {
	generic.RESTOptionsGetter
	etcd LocalEtcd
	// sizes are those of --watch-cache-sizes. The library ignores all but zero: no cache.
	sizes  map[schema.GroupResource]int
	cached bool

	mu     sync.Mutex
	shared *shared
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (p *inProcess) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := p.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	options.Decorator = p.uncachedStorage
	if size, given := p.sizes[resource]; p.cached && (!given || size > 0) {
		options.Decorator = p.cachedStorage
	}
	return options, nil
}

// uncachedStorage is a generic.StorageDecorator.
func (p *inProcess) uncachedStorage(config *storagebackend.ConfigForResource, resourcePrefix string, _ func(runtime.Object) (string, error),
	newFunc, newListFunc func() runtime.Object, _ storage.AttrFunc, _ storage.IndexerFuncs, _ *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
	return p.store(config, resourcePrefix, newFunc, newListFunc)
}

// cachedStorage is a generic.StorageDecorator.
func (p *inProcess) cachedStorage(config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(runtime.Object) (string, error),
	newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
	store, destroy, err := p.store(config, resourcePrefix, newFunc, newListFunc)
	if err != nil {
		return nil, nil, err
	}
	watchCache, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage:             sharesParts{endsWithoutLeader{store, p.etcd}, newSharing()},
		Versioner:           storage.APIObjectVersioner{},
		Codec:               config.Codec,
		GroupResource:       config.GroupResource,
		ResourcePrefix:      resourcePrefix,
		EventsHistoryWindow: config.EventsHistoryWindow,
		NewFunc:             newFunc,
		NewListFunc:         newListFunc,
		KeyFunc:             keyFunc,
		GetAttrsFunc:        attrs,
		IndexerFuncs:        triggers,
		Indexers:            indexers,
	})
	if err != nil {
		destroy()
		return nil, nil, err
	}
	delegate := cacher.NewCacheDelegator(watchCache, store)
	return delegate, sync.OnceFunc(func() {
		delegate.Stop()
		watchCache.Stop()
		destroy()
	}), nil
}

// store returns the storage of one resource, with a separate client as in the library: watches
// of a shared client would share one stream, and receive each other's progress notifications.
func (p *inProcess) store(config *storagebackend.ConfigForResource, resourcePrefix string, newFunc, newListFunc func() runtime.Object) (storage.Interface, factory.DestroyFunc, error) {
	transformer := config.Transformer
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	versioner := storage.APIObjectVersioner{}
	decoder := etcd3.NewDefaultDecoder(config.Codec, versioner)
	unsafeDeletes := utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion)
	if unsafeDeletes {
		transformer = etcd3.WithCorruptObjErrorHandlingTransformer(transformer)
		decoder = etcd3.WithCorruptObjErrorHandlingDecoder(decoder)
	}

	compactor, release := p.acquire(config.CompactionInterval)
	client := &kubernetes.Client{Client: p.etcd.NewClient()}
	// Audit events have the time that a request spent in etcd as an annotation.
	client.KV = etcd3.NewETCDLatencyTracker(tracedKV{client.KV})
	client.Kubernetes = client
	store, err := etcd3.New(client, compactor, config.Codec, newFunc, newListFunc, config.Prefix, resourcePrefix,
		config.GroupResource, transformer, config.LeaseManagerConfig, decoder, versioner)
	if err != nil {
		release()
		_ = client.Close()
		return nil, nil, err
	}
	destroy := sync.OnceFunc(func() {
		release()
		store.Close()
		_ = client.Close()
	})
	if unsafeDeletes {
		return etcd3.NewStoreWithUnsafeCorruptObjectDeletion(store, config.GroupResource), destroy, nil
	}
	return store, destroy, nil
}

// shared holds the client and the compactor that the storages of a server share.
type shared struct {
	users     int
	client    *clientv3.Client
	compactor interface {
		etcd3.Compactor
		Stop()
	}
}

// acquire returns the compactor, or nil if this server does not compact, and a function that releases
// it. The last release stops the compactor.
func (p *inProcess) acquire(interval time.Duration) (etcd3.Compactor, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared == nil {
		p.shared = &shared{client: p.etcd.NewClient()}
		checkFeatures(p.shared.client, p.etcd.Endpoints())
		if interval > 0 {
			p.shared.compactor = etcd3.NewCompactor(p.shared.client, interval, clock.RealClock{}, nil)
		}
	}
	s := p.shared
	s.users++
	release := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.users--; s.users > 0 {
			return
		}
		if s.compactor != nil {
			s.compactor.Stop()
		}
		_ = s.client.Close()
		p.shared = nil
	}
	if s.compactor == nil {
		return nil, release
	}
	return s.compactor, release
}

// checkFeatures starts the library's check whether etcd supports progress requests. Without them,
// consistent reads are not served from the watch cache, and streaming lists are refused. The check
// reads the version of each endpoint of a client, and a client in the process has no endpoints.
func checkFeatures(client *clientv3.Client, endpoints []string) {
	feature.DefaultFeatureSupportChecker.CheckClient(client.Ctx(), withEndpoints{client, endpoints}, storage.RequestWatchProgress)
}

type withEndpoints struct {
	*clientv3.Client
	endpoints []string
}

// Endpoints returns the endpoints that the client would have if it connected.
func (c withEndpoints) Endpoints() []string { return c.endpoints }
