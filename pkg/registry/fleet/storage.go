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
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/app"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/host"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/hostlease"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/release"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/streams"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

// StorageProvider builds the storages of fleet.gatehouse.dev.
type StorageProvider struct {
	// Tokens issues the tokens of instances. If it is nil, instances/token is not served.
	Tokens tokenrequest.Issuer
	// Objects reads what instances refer to. If it is nil, instances/configuration is not served.
	Objects instance.ObjectReader
	// Updates runs the updates of apps by rollbacks.
	Updates app.CallerUpdates
	// Tunnels are those of hosts to this server; if it is nil, neither they nor streams are served. Hosts opens streams
	// through them, and through those to other servers, and Authorizer decides about the requests for streams.
	Tunnels    *tunnel.Registry
	Hosts      streams.Dialer
	Authorizer authorizer.Authorizer
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return fleet.GroupName }

// NewStorage builds each storage once; all versions share it, because each has a watch cache.
func (p StorageProvider) NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (base.GroupStorage, error) {
	hosts, err := host.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	hostLeases, err := hostlease.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	instances, err := instance.NewStorage(scheme, opts, hosts.Host, p.Tokens, p.Objects)
	if err != nil {
		return nil, err
	}
	releases, err := release.NewStorage(scheme, opts)
	if err != nil {
		return nil, err
	}
	apps, err := app.NewStorage(scheme, opts, releases.Release, p.Updates)
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
		"apps/rollback":     apps.Rollback,
		"releases":          releases.Release,
		"releases/status":   releases.Status,
		"releases/scale":    releases.Scale,
	}
	if instances.Token != nil {
		storages["instances/token"] = instances.Token
	}
	if instances.Configuration != nil {
		storages["instances/configuration"] = instances.Configuration
	}
	if p.Tunnels != nil {
		storages["hosts/tunnel"] = streams.NewTunnelREST(hosts.Host, p.Tunnels)
		c := &streams.Config{Instances: instances.Instance, Leases: hostLeases.HostLease, Hosts: p.Hosts, Authorizer: p.Authorizer}
		storages["instances/log"], storages["instances/exec"], storages["instances/attach"], storages["instances/portforward"] = c.Endpoints()
	}
	versions := map[string]map[string]rest.Storage{}
	for _, version := range scheme.PrioritizedVersionsForGroup(fleet.GroupName) {
		versions[version.Version] = storages
	}
	return base.GroupStorage{fleet.GroupName: versions}, nil
}
