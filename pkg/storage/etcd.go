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
	// Prefix is the root of all our keys. It is Kubernetes' own, because people and tools
	// that look into an etcd look there. Whoever shares one etcd between a cluster and
	// Gatehouse must give one of them another prefix.
	Prefix = "/registry"

	// MediaType is how objects are stored. Protobuf costs about a fifth less per create than
	// JSON, and every kind that is stored has generated code for it.
	MediaType = runtime.ContentTypeProtobuf
)

// Connection says how to reach an etcd.
type Connection struct {
	// Endpoints are URLs, of scheme http, https or unix.
	Endpoints []string
	// CAFile verifies the servers. All three files are empty when TLS is not used.
	CAFile string
	// CertFile and KeyFile are the client certificate.
	CertFile, KeyFile string
}

// deleteCollectionWorkers is how many objects of a collection are deleted at the same time,
// where the library does it one by one: each delete waits for etcd's disk, which takes as
// long for many at once. A namespace of 500 objects goes several times as fast.
const deleteCollectionWorkers = 8

// NewOptions returns the etcd options with Gatehouse's defaults and no endpoint. Flags may be
// bound to the result before Connect, or instead of it.
//
// The library's default media type is JSON, and a codec is set by the storage factory later,
// hence nil here. Garbage collection stays enabled: switched off, the library would drop the
// foreground and orphan propagation of a delete without a word.
func NewOptions() *genericoptions.EtcdOptions {
	options := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(Prefix, nil))
	options.DefaultStorageMediaType = MediaType
	options.DeleteCollectionWorkers = deleteCollectionWorkers
	return options
}

// Connect points the options at an etcd.
//
// An embedded etcd is an ordinary endpoint with the scheme unix. Storages get to it by InProcess
// instead; what is left for the endpoint are the health checks of /readyz and the size metric.
func Connect(options *genericoptions.EtcdOptions, to Connection) {
	transport := &options.StorageConfig.Transport
	transport.ServerList = slices.Clone(to.Endpoints)
	transport.TrustedCAFile = to.CAFile
	transport.CertFile = to.CertFile
	transport.KeyFile = to.KeyFile
}
