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
	"errors"
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/bodies"
	admissionregistrationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	authenticationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/authentication"
	authorizationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	coordinationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/coordination"
	coreregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/core"
	eventsregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/events"
	fleetregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/fleet"
	rbacregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/rbac"
)

// group is an API group that the server installs.
type group struct {
	name       string
	scheme     *runtime.Scheme
	codecs     serializer.CodecFactory
	newStorage newStorage
	// watchIndexes are told to flow control before any storage exists; a test holds them
	// against the storages.
	watchIndexes map[schema.GroupResource]string
}

// newStorage is a group's table of contents: its storages by version and path.
type newStorage func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error)

func fleetGroup() group {
	scheme, codecs := NewFleetScheme()
	return group{
		name:         fleet.GroupName,
		scheme:       scheme,
		codecs:       codecs,
		newStorage:   fleetregistry.NewStorage,
		watchIndexes: map[schema.GroupResource]string{fleet.Resource("instances"): v1alpha1.InstanceHostNameField},
	}
}

// builtinGroups are those of Kubernetes that a standalone server serves, in the order in
// which they are installed.
func builtinGroups(b *Builtins) []group {
	one := func(name string, storage newStorage) group {
		return group{name: name, scheme: b.Scheme, codecs: b.Codecs, newStorage: storage}
	}
	// The core group's events are served by events.k8s.io, too, which waits for them.
	events := make(chan rest.Storage, 1)
	return []group{
		one(corev1.GroupName, func(scheme *runtime.Scheme, options base.StorageOptions) (map[string]map[string]rest.Storage, error) {
			defer close(events)
			storages, err := coreregistry.NewStorage(scheme, coreregistry.Options{StorageOptions: options, EventTTL: b.EventTTL})
			if err == nil {
				events <- storages[corev1.SchemeGroupVersion.Version]["events"]
			}
			return storages, err
		}),
		one(admissionregistrationv1.GroupName, func(scheme *runtime.Scheme, options base.StorageOptions) (map[string]map[string]rest.Storage, error) {
			return admissionregistrationregistry.NewStorage(scheme, options, &params.Check{Authorizer: b.Authorizer, Resolve: b.Lookup.ResourceOf}, b.types.Check)
		}),
		one(authenticationv1.GroupName, func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error) {
			return authenticationregistry.NewStorage(b.Tokens, b.Audiences), nil
		}),
		one(authorizationv1.GroupName, func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error) {
			return authorizationregistry.NewStorage(b.Authorizer, b.Rules)
		}),
		one(coordinationv1.GroupName, coordinationregistry.NewStorage),
		one(eventsv1.GroupName, func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error) {
			stored, ok := <-events
			if !ok {
				return nil, errors.New("the core group has no events")
			}
			return eventsregistry.NewStorage(stored), nil
		}),
		one(rbacv1.GroupName, func(scheme *runtime.Scheme, options base.StorageOptions) (map[string]map[string]rest.Storage, error) {
			return rbacregistry.NewStorage(scheme, options, b.Escalation)
		}),
	}
}

// displayName is how the group is called in messages: the core group has no name.
func (g group) displayName() string {
	if g.name == corev1.GroupName {
		return "core"
	}
	return g.name
}

// build makes the group's storages.
func (g group) build(options base.StorageOptions) (*genericapiserver.APIGroupInfo, error) {
	versions, err := g.newStorage(g.scheme, options)
	if err != nil {
		return nil, fmt.Errorf("API group %s: %w", g.displayName(), err)
	}
	info := genericapiserver.NewDefaultAPIGroupInfo(g.name, g.scheme, metav1.ParameterCodec, g.codecs)
	info.VersionedResourcesStorageMap = versions
	info.NegotiatedSerializer = bodies.WithBoundedOwners(info.NegotiatedSerializer)
	return &info, nil
}

// buildGroups makes the storages of all groups side by side: it takes half of the time that a
// group takes, and each storage makes a connection to etcd.
func buildGroups(groups []group, optionsOf func(group) base.StorageOptions) ([]*genericapiserver.APIGroupInfo, error) {
	infos := make([]*genericapiserver.APIGroupInfo, len(groups))
	errs := make([]error, len(groups))
	var building sync.WaitGroup
	for i, g := range groups {
		building.Go(func() { infos[i], errs[i] = g.build(optionsOf(g)) })
	}
	building.Wait()
	return infos, errors.Join(errs...)
}

// storagesOf are the storages that the infos of the groups hold.
func storagesOf(groups []group, infos []*genericapiserver.APIGroupInfo) map[schema.GroupResource]rest.Storage {
	storages := map[schema.GroupResource]rest.Storage{}
	for i, g := range groups {
		for _, paths := range infos[i].VersionedResourcesStorageMap {
			for path, storage := range paths {
				storages[schema.GroupResource{Group: g.name, Resource: path}] = storage
			}
		}
	}
	return storages
}

// storagesReady are the checks of all groups' watch caches.
func storagesReady(groups []group, infos []*genericapiserver.APIGroupInfo) []healthz.HealthChecker {
	var checks []healthz.HealthChecker
	for i, g := range groups {
		checks = append(checks, storageReady(g.displayName(), storagesOf(groups[i:i+1], infos[i:i+1])))
	}
	return checks
}

// installGroups serves the groups. The library describes to managedFields at once what it
// installs at once.
func installGroups(server *genericapiserver.GenericAPIServer, groups []group, infos []*genericapiserver.APIGroupInfo) error {
	var named []*genericapiserver.APIGroupInfo
	for i, g := range groups {
		if g.name != corev1.GroupName {
			named = append(named, infos[i])
		} else if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, infos[i]); err != nil {
			return fmt.Errorf("installing API group %s: %w", g.displayName(), err)
		}
	}
	if err := server.InstallAPIGroups(named...); err != nil {
		return fmt.Errorf("installing API groups: %w", err)
	}
	return nil
}
