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

package fleet

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/app"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/host"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/hostlease"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/release"
)

// NewStorage builds the storage of the group, by version and path. Each storage is built
// once and shared by all versions that serve it: two would mean two watch caches.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (map[string]map[string]rest.Storage, error) {
	hosts, err := host.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	hostLeases, err := hostlease.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	instances, err := instance.NewStorage(scheme, opts, hosts.Host)
	if err != nil {
		return nil, err
	}
	releases, err := release.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	apps, err := app.NewStorage(scheme, opts, releases.Release)
	if err != nil {
		return nil, err
	}
	storages := map[string]rest.Storage{
		"hosts":             hosts.Host,
		"hosts/status":      hosts.Status,
		"hostleases":        hostLeases.HostLease,
		"instances":         instances.Instance,
		"instances/status":  instances.Status,
		"instances/binding": instances.Binding,
		"apps":              apps.App,
		"apps/status":       apps.Status,
		"apps/scale":        apps.Scale,
		"releases":          releases.Release,
		"releases/status":   releases.Status,
		"releases/scale":    releases.Scale,
	}
	if instances.Token != nil {
		storages["instances/token"] = instances.Token
	}
	if apps.Rollback != nil {
		storages["apps/rollback"] = apps.Rollback
	}
	return map[string]map[string]rest.Storage{v1alpha1.SchemeGroupVersion.Version: storages}, nil
}
