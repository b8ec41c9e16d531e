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
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

const (
	// Prefix is the root of all keys. It is the same as in Kubernetes, where users and tools expect the keys of
	// an etcd. A cluster and Gatehouse that share one etcd need different prefixes.
	Prefix = "/registry"

	// MediaType is the encoding of stored objects. Protobuf costs about a fifth less per create
	// than JSON, and every stored kind has generated code for it.
	MediaType = runtime.ContentTypeProtobuf
)

// Connection holds the addresses and TLS files of an etcd.
type Connection struct {
	// Endpoints are URLs, of scheme http, https or unix.
	Endpoints []string
	// CAFile verifies the servers. All three files are empty without TLS.
	CAFile string
	// CertFile and KeyFile are the client certificate.
	CertFile, KeyFile string
}

// deleteCollectionWorkers is the number of concurrent deletes of a collection; the library's default
// is 1. Each delete waits for etcd's disk, which syncs many at once in the same time: a namespace of
// 500 objects is deleted several times as fast.
const deleteCollectionWorkers = 8

// NewOptions returns the etcd options with Gatehouse's defaults and no endpoint. Flags may be
// bound to the result before Connect, or instead of it.
//
// The codec is nil because the storage factory sets it later. Garbage collection stays enabled:
// without it, the library would silently ignore foreground and orphan propagation of deletes.
func NewOptions() *genericoptions.EtcdOptions {
	options := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(Prefix, nil))
	options.DefaultStorageMediaType = MediaType
	options.DeleteCollectionWorkers = deleteCollectionWorkers
	return options
}

// Connect sets the endpoints and TLS files of an etcd in the options.
//
// An embedded etcd is an ordinary endpoint with the scheme unix. Storages reach it by InProcess
// instead; only the health checks of /readyz and the size metric use the endpoint.
func Connect(options *genericoptions.EtcdOptions, to Connection) {
	transport := &options.StorageConfig.Transport
	transport.ServerList = slices.Clone(to.Endpoints)
	transport.TrustedCAFile = to.CAFile
	transport.CertFile = to.CertFile
	transport.KeyFile = to.KeyFile
}
