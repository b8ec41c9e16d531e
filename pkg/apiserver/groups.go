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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	fleetregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
)

// group is an API group that the server installs.
type group struct {
	name       string
	scheme     *runtime.Scheme
	codecs     serializer.CodecFactory
	newStorage func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error)
	// watchIndexes are told to flow control before any storage exists; a test holds them
	// against the storages.
	watchIndexes map[schema.GroupResource]string
}

func fleetGroup() group {
	scheme, codecs := NewFleetScheme()
	return group{
		name:         fleet.GroupName,
		scheme:       scheme,
		codecs:       codecs,
		newStorage:   fleetregistry.NewStorage,
		watchIndexes: map[schema.GroupResource]string{fleet.Resource("instances"): instance.HostNameField},
	}
}

func (g group) apiGroupInfo(options generic.RESTOptionsGetter, garbageCollected bool) (*genericapiserver.APIGroupInfo, error) {
	storage, err := g.newStorage(g.scheme, base.StorageOptions{RESTOptions: options, GarbageCollected: garbageCollected})
	if err != nil {
		return nil, err
	}
	info := genericapiserver.NewDefaultAPIGroupInfo(g.name, g.scheme, metav1.ParameterCodec, g.codecs)
	info.VersionedResourcesStorageMap = storage
	return &info, nil
}
