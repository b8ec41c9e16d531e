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
	"slices"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
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
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
	authorizationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	certificatesregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/certificates"
	coordinationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/coordination"
	coreregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/core"
	fleetregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/fleet"
	flowcontrolregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/flowcontrol"
	rbacregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/rbac"
	storagemigrationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/storagemigration"
)

// builtinGroups are the groups of Kubernetes that a standalone server serves, in the order in
// which they are installed. Their resources are stored where a kube-apiserver stores them.
var builtinGroups = []string{
	corev1.GroupName,
	admissionregistrationv1.GroupName,
	authenticationv1.GroupName,
	authorizationv1.GroupName,
	certificatesv1.GroupName,
	coordinationv1.GroupName,
	eventsv1.GroupName,
	flowcontrolv1.GroupName,
	rbacv1.GroupName,
	storagemigrationv1.GroupName,
}

// watchIndexes are the watch indexes of all resources. Flow control needs them before the storages
// exist; a test compares them with the storages.
func watchIndexes() map[schema.GroupResource]string {
	return map[schema.GroupResource]string{fleet.Resource("instances"): v1alpha1.InstanceHostNameField}
}

// groupSet is a set of API groups that share a scheme.
type groupSet struct {
	scheme *runtime.Scheme
	codecs serializer.CodecFactory
	// names are the groups, in the order in which they are installed.
	names     []string
	providers []base.StorageProvider
}

// fleetGroups returns the groups that both modes serve.
func fleetGroups(scheme *runtime.Scheme, codecs serializer.CodecFactory, provider fleetregistry.StorageProvider) groupSet {
	return groupSet{
		scheme: scheme, codecs: codecs, names: []string{fleet.GroupName},
		providers: []base.StorageProvider{provider},
	}
}

// groups returns the groups of Kubernetes. types checks the expressions of policies.
func (b *Builtins) groups(tokens tokenrequest.Issuer, types *typeCheck) groupSet {
	return groupSet{
		scheme: b.Scheme, codecs: b.Codecs, names: builtinGroups,
		providers: []base.StorageProvider{
			coreregistry.StorageProvider{EventTTL: b.EventTTL, Tokens: tokens},
			admissionregistrationregistry.StorageProvider{Check: &params.Check{Authorizer: b.Authorizer, Resolve: b.Lookup.ResourceOf}, TypeCheck: types.Check},
			authenticationregistry.StorageProvider{Tokens: b.Tokens, Audiences: b.Audiences},
			authorizationregistry.StorageProvider{Authorizer: b.Authorizer, Rules: b.Rules},
			certificatesregistry.StorageProvider{},
			coordinationregistry.StorageProvider{},
			flowcontrolregistry.StorageProvider{},
			rbacregistry.StorageProvider{Escalation: b.Escalation},
			storagemigrationregistry.StorageProvider{},
		},
	}
}

// apiGroup is an API group with its storages.
type apiGroup struct {
	name   string
	scheme *runtime.Scheme
	info   *genericapiserver.APIGroupInfo
}

// displayName returns the name of a group in messages: the core group has an empty name.
func displayName(group string) string {
	if group == corev1.GroupName {
		return "core"
	}
	return group
}

// buildGroups builds the storages of all groups, in the order of the sets. The providers of all
// sets run concurrently: it takes half of the time, because each storage connects to etcd.
func buildGroups(options base.StorageOptions, sets ...groupSet) ([]apiGroup, error) {
	var building sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	built := make([]base.GroupStorage, len(sets))
	for i, set := range sets {
		built[i] = base.GroupStorage{}
		for _, provider := range set.providers {
			building.Go(func() {
				storages, err := provider.NewStorage(set.scheme, options)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, fmt.Errorf("API group %s: %w", displayName(provider.GroupName()), err))
				}
				for group, versions := range storages {
					built[i][group] = versions
				}
			})
		}
	}
	building.Wait()
	var groups []apiGroup
	for i, set := range sets {
		for _, name := range set.names {
			versions, ok := built[i][name]
			if !ok && len(errs) == 0 {
				errs = append(errs, fmt.Errorf("API group %s: no provider builds its storages", displayName(name)))
			}
			delete(built[i], name)
			info := genericapiserver.NewDefaultAPIGroupInfo(name, set.scheme, runtime.NewParameterCodec(set.scheme), set.codecs)
			info.VersionedResourcesStorageMap = versions
			info.NegotiatedSerializer = bodies.WithBoundedOwners(info.NegotiatedSerializer)
			groups = append(groups, apiGroup{name, set.scheme, &info})
		}
		for name := range built[i] {
			errs = append(errs, fmt.Errorf("API group %s: its storages are built, but it is not installed", displayName(name)))
		}
	}
	return groups, errors.Join(errs...)
}

// storagesOf returns the storages of the groups, by resource and path.
func storagesOf(groups ...apiGroup) map[schema.GroupResource]rest.Storage {
	storages := map[schema.GroupResource]rest.Storage{}
	for _, g := range groups {
		for _, paths := range g.info.VersionedResourcesStorageMap {
			for path, storage := range paths {
				storages[schema.GroupResource{Group: g.name, Resource: path}] = storage
			}
		}
	}
	return storages
}

// storagesReady returns the checks of the watch caches of all groups.
func storagesReady(groups []apiGroup) []healthz.HealthChecker {
	var checks []healthz.HealthChecker
	for _, g := range groups {
		checks = append(checks, storageReady(displayName(g.name), storagesOf(g)))
	}
	return checks
}

// installGroups serves the groups. All named groups are installed together, because the library
// builds the types for managedFields once for each call.
func installGroups(server *genericapiserver.GenericAPIServer, groups []apiGroup) error {
	var named []*genericapiserver.APIGroupInfo
	for _, g := range groups {
		if g.name != corev1.GroupName {
			named = append(named, g.info)
		} else if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, g.info); err != nil {
			return fmt.Errorf("installing API group %s: %w", displayName(g.name), err)
		}
	}
	if err := server.InstallAPIGroups(named...); err != nil {
		return fmt.Errorf("installing API groups: %w", err)
	}
	return nil
}

// isBuiltin reports whether the group is one of Kubernetes' groups.
func isBuiltin(group string) bool { return slices.Contains(builtinGroups, group) }
