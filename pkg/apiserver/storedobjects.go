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
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// StoredObjects decodes values of etcd as the storages of both modes do: it decrypts them, verifies their checksums and
// decodes them with the codec of their resource. It is safe for concurrent use.
type StoredObjects struct {
	transformers value.ResourceTransformers
	// resources are by their path below the prefix.
	resources map[string]storedResource
}

type storedResource struct {
	schema.GroupResource
	codec  runtime.Codec
	object reflect.Type
}

// NewStoredObjects returns a decoder. transformers may be nil: then encrypted values are errors.
func NewStoredObjects(transformers value.ResourceTransformers) (*StoredObjects, error) {
	s := &StoredObjects{transformers: transformers, resources: map[string]storedResource{}}
	config := storagebackend.NewDefaultConfig(storage.Prefix, nil)
	fleetScheme, fleetCodecs := NewFleetScheme()
	builtinScheme, builtinCodecs := NewBuiltinScheme()
	own := NewStorageFactory(*config, storage.MediaType, fleetScheme, fleetCodecs)
	factory := WithBuiltins(own, NewStorageFactory(*config, storage.MediaType, builtinScheme, builtinCodecs))
	// In the order of the groups: the core group has the events of both groups.
	for _, group := range builtinGroups {
		if err := s.add(builtinScheme, factory, group); err != nil {
			return nil, err
		}
	}
	if err := s.add(fleetScheme, factory, fleet.GroupName); err != nil {
		return nil, err
	}
	return s, nil
}

// LoadStoredObjects returns a decoder with the keys of an encryption configuration; an empty path is none. KMS plugins are
// connected until the context ends.
func LoadStoredObjects(ctx context.Context, encryptionConfig string) (*StoredObjects, error) {
	if encryptionConfig == "" {
		return NewStoredObjects(nil)
	}
	loaded, err := encryptionconfig.LoadEncryptionConfig(ctx, encryptionConfig, false, "")
	if err != nil {
		return nil, err
	}
	return NewStoredObjects(encryptionconfig.StaticTransformers(loaded.Transformers))
}

// add adds the resources of a group. A path that two groups share is of the first: events are stored as those of the
// core group.
func (s *StoredObjects) add(scheme *runtime.Scheme, factory serverstorage.StorageFactory, group string) error {
	hub := schema.GroupVersion{Group: group, Version: runtime.APIVersionInternal}
	for kind := range scheme.KnownTypes(hub) {
		object, err := scheme.New(hub.WithKind(kind))
		if err != nil {
			return err
		}
		if _, err := meta.Accessor(object); err != nil {
			continue // lists and options
		}
		plural, _ := meta.UnsafeGuessKindToResource(hub.WithKind(kind))
		path := factory.ResourcePrefix(plural.GroupResource())
		if _, known := s.resources[path]; known {
			continue
		}
		config, err := factory.NewConfig(plural.GroupResource(), object)
		if err != nil {
			// Kinds of subresources, such as Scale, have no codec of a storage.
			continue
		}
		s.resources[path] = storedResource{plural.GroupResource(), config.Codec, reflect.TypeOf(object)}
	}
	return nil
}

// Decode decodes the value of a key. An error names the key and what is wrong.
func (s *StoredObjects) Decode(ctx context.Context, key string, data []byte) error {
	resource, known := s.resourceOf(key)
	if !known {
		return fmt.Errorf("%s: this program does not know the resource: it was stored by a newer version, or is not of Gatehouse", key)
	}
	plain, err := storage.ReadStored(ctx, s.transformers, resource.GroupResource, key, data)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	object, err := runtime.Decode(resource.codec, plain)
	if err != nil {
		return fmt.Errorf("%s: it cannot be decoded: %w", key, err)
	}
	if reflect.TypeOf(object) != resource.object {
		return fmt.Errorf("%s: it is a %T and no object of %s", key, object, resource)
	}
	accessor, err := meta.Accessor(object)
	if err != nil || accessor.GetUID() == "" {
		return fmt.Errorf("%s: it has no UID, so it is no whole object", key)
	}
	return nil
}

// resourceOf returns the resource of a key: /registry/secrets/..., /registry/fleet.gatehouse.dev/apps/...
func (s *StoredObjects) resourceOf(key string) (storedResource, bool) {
	parts := strings.SplitN(strings.TrimPrefix(key, storage.Prefix+"/"), "/", 3)
	if resource, known := s.resources[parts[0]]; known || len(parts) < 2 {
		return resource, known
	}
	resource, known := s.resources[parts[0]+"/"+parts[1]]
	return resource, known
}
