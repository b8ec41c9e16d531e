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

package app

import (
	"context"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
)

// clientsInside returns the clients that run in the server's process: controllers, and simulated
// hosts if there are any. In the aggregated mode the cluster has its own controllers, and those of
// the fleet run in a process of their own.
func clientsInside(o options.CompletedOptions, server *apiserver.Server, bundle *certificates.Bundle, identities *authentication.Controllers) (manager.Runners, error) {
	var inside manager.Runners
	if !o.Aggregated() {
		loopback, tokens := server.Generic.LoopbackClientConfig, map[string]string{}
		for _, name := range manager.ClientNames() {
			tokens[name] = identities.Mint(name)
		}
		var err error
		if inside, err = manager.NewStandalone(manager.Standalone{
			Controllers: o.Controllers, EndedInstances: o.EndedInstances, Replica: replicaIdentity(o),
			Identity: func(name string) *rest.Config { return manager.TokenConfig(loopback, name, tokens[name]) },
		}); err != nil {
			return nil, err
		}
	}
	if o.SimulateHosts > 0 {
		hosts, err := simulatedHosts(o, server, bundle.CA)
		if err != nil {
			return nil, err
		}
		inside = append(inside, manager.Run(hosts))
	}
	return inside, nil
}

// controllerRoles returns the roles of the controllers for RBAC.
func controllerRoles() []rbac.UserRole {
	var roles []rbac.UserRole
	for _, d := range manager.Descriptors() {
		roles = append(roles, rbac.UserRole{User: authentication.ControllerUserPrefix + d.Name, Rules: d.Rules})
	}
	return roles
}

// controllerUsers returns the users of the controllers, wherever they run.
func controllerUsers() []string {
	names := manager.ClientNames()
	for i := range names {
		names[i] = authentication.ControllerUserPrefix + names[i]
	}
	return names
}

// replicaIdentity returns the identity of this replica in the election. A server with an embedded
// etcd is the only replica, and has the same identity after a crash, so that it need not wait for
// the end of its own lease.
func replicaIdentity(o options.CompletedOptions) string {
	if o.EmbeddedEtcd() {
		return "gatehouse-with-embedded-etcd"
	}
	return leader.Identity()
}

// RunFleetControllers runs one replica of the controllers of the fleet, for tests that run several
// in one process; see manager.RunFleet.
func RunFleetControllers(ctx context.Context, config *rest.Config, election leader.Config, hosts hostlifecycle.Options) error {
	return manager.RunFleet(ctx, config, authentication.ControllerUserPrefix, election, hosts)
}
