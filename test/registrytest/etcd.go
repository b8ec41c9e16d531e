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

package registrytest

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/registry/rest"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// dialTimeout is far longer than needed, for a machine that is busy with other tests.
const dialTimeout = 30 * time.Second

// Etcd is a real etcd, initially empty, that stops with the test.
type Etcd struct {
	// Client reads and writes the stored data directly.
	Client *clientv3.Client

	endpoints []string
}

// StartEtcd starts the embedded etcd in a temporary directory.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatalf("starting etcd: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing etcd: %v", err)
		}
	})
	client, err := clientv3.New(clientv3.Config{Endpoints: server.Endpoints(), DialTimeout: dialTimeout})
	if err != nil {
		t.Fatalf("connecting to etcd: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &Etcd{Client: client, endpoints: server.Endpoints()}
}

// StorageOptions returns options for this etcd like those of a server: the same prefix, paths, media type
// and watch cache.
func (e *Etcd) StorageOptions(scheme *runtime.Scheme, codecs serializer.CodecFactory) base.StorageOptions {
	options := storage.NewOptions()
	storage.Connect(options, storage.Connection{Endpoints: e.endpoints})
	return base.StorageOptions{RESTOptions: &genericoptions.StorageFactoryRestOptionsFactory{
		Options:        *options,
		StorageFactory: apiserver.NewStorageFactory(options.StorageConfig, options.DefaultStorageMediaType, scheme, codecs),
	}}
}

// CallerUpdates runs updates without admission plugins.
func CallerUpdates(t testing.TB, scheme *runtime.Scheme) *apiserver.CallerUpdates {
	t.Helper()
	updates, err := apiserver.NewCallerUpdates(scheme, admission.NewChainHandler())
	if err != nil {
		t.Fatal(err)
	}
	return updates
}

// NewStorage returns a function for Contract and tests of a group. The function returns the provider's
// storages of the group, by version and path.
func NewStorage(provider base.StorageProvider, group string) func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error) {
	return func(scheme *runtime.Scheme, opts base.StorageOptions) (map[string]map[string]rest.Storage, error) {
		storages, err := provider.NewStorage(scheme, opts)
		return storages[group], err
	}
}

// awaitReady returns when the storage's watch cache is filled: until then lists are refused.
func awaitReady(t testing.TB, storage rest.StorageWithReadiness) {
	t.Helper()
	kit.EventuallyState(t, "the watch cache is ready", func(context.Context) (bool, string) {
		err := storage.ReadinessCheck()
		return err == nil, fmt.Sprint(err)
	})
}
