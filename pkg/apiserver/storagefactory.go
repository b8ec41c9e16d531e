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

// storageFactory stores every resource below its group, so that two groups may have
// resources of the same name: /registry/fleet.gatehouse.dev/hosts/edge-1.
type storageFactory struct {
	*serverstorage.DefaultStorageFactory
}

// NewStorageFactory decides how objects are encoded for etcd and where they lie. The
// library's simple factory, which is the default, knows only JSON.
func NewStorageFactory(config storagebackend.Config, mediaType string, scheme *runtime.Scheme, codecs serializer.CodecFactory) serverstorage.StorageFactory {
	return storageFactory{serverstorage.NewDefaultStorageFactory(
		config, mediaType, codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme),
		serverstorage.NewResourceConfig(),
		nil,
	)}
}

// ResourcePrefix is the path of a resource below the etcd prefix.
func (storageFactory) ResourcePrefix(resource schema.GroupResource) string {
	if resource.Group == "" {
		return resource.Resource
	}
	return resource.Group + "/" + resource.Resource
}
