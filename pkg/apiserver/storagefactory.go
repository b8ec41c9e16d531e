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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// storageFactory stores resources below their group, so that two groups may have resources of the
// same name: /registry/fleet.gatehouse.dev/hosts/edge-1. The resources of Kubernetes' groups are
// stored where a kube-apiserver stores them: /registry/secrets/default/s.
type storageFactory struct {
	*serverstorage.DefaultStorageFactory
}

// NewStorageFactory returns the factory that decides how objects are encoded for etcd and where
// they are stored. The library's default factory encodes JSON only.
func NewStorageFactory(config storagebackend.Config, mediaType string, scheme *runtime.Scheme, codecs serializer.CodecFactory) serverstorage.StorageFactory {
	return storageFactory{serverstorage.NewDefaultStorageFactory(
		config, mediaType, codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme),
		serverstorage.NewResourceConfig(),
		nil,
	)}
}

// ResourcePrefix returns the path of a resource below the etcd prefix.
func (storageFactory) ResourcePrefix(resource schema.GroupResource) string {
	if isBuiltin(resource.Group) {
		return resource.Resource
	}
	return resource.Group + "/" + resource.Resource
}

// NewConfig wraps the codec of built-in kinds, which have the wire type as hub type.
func (f storageFactory) NewConfig(resource schema.GroupResource, example runtime.Object) (*storagebackend.ConfigForResource, error) {
	config, err := f.DefaultStorageFactory.NewConfig(resource, example)
	if err == nil && isBuiltin(resource.Group) {
		config.Codec = untypedCodec{config.Codec}
	}
	return config, err
}

// untypedCodec decodes objects without kind and apiVersion. A conversion to a hub type would drop
// them; without one they would take memory in the watch cache and be part of every item of a list.
type untypedCodec struct{ runtime.Codec }

// Decode implements runtime.Decoder.
func (c untypedCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, kind, err := c.Codec.Decode(data, defaults, into)
	if obj != nil {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
	return obj, kind, err
}

// storageFactories are the factories of both schemes, for the same etcd.
type storageFactories struct {
	serverstorage.StorageFactory
	builtin serverstorage.StorageFactory
}

// WithBuiltins combines the storage factories of the fleet's groups and of Kubernetes' groups.
func WithBuiltins(own, builtin serverstorage.StorageFactory) serverstorage.StorageFactory {
	return storageFactories{own, builtin}
}

// NewConfig implements serverstorage.StorageFactory.
func (f storageFactories) NewConfig(resource schema.GroupResource, example runtime.Object) (*storagebackend.ConfigForResource, error) {
	if isBuiltin(resource.Group) {
		return f.builtin.NewConfig(resource, example)
	}
	return f.StorageFactory.NewConfig(resource, example)
}
