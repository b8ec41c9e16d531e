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

package authorization

import (
	"errors"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
)

// StandaloneRoles is the result of ApplyStandalone.
type StandaloneRoles struct {
	// Roles resolves the rules of a user.
	Roles *rbac.Authorizer
	// Escalation keeps callers from granting permissions that they do not hold.
	Escalation *rbac.Escalation
	// Synced passes once the roles have been read: before that, valid permissions would be denied.
	Synced healthz.HealthChecker
}

// ApplyStandalone sets the authorizer of a server of the standalone mode.
func ApplyStandalone(generic *genericapiserver.Config, informers rbacinformers.Interface, bound host.BoundInstances, options host.Options, healthPaths []string) (*StandaloneRoles, error) {
	roles, err := rbac.New(informers)
	if err != nil {
		return nil, err
	}
	hosts, err := host.New(bound, options)
	if err != nil {
		return nil, err
	}
	generic.Authorization.Authorizer, err = NewStandalone(Standalone{HealthPaths: healthPaths, Hosts: hosts, Roles: roles})
	if err != nil {
		return nil, err
	}
	generic.RuleResolver = roles
	escalation, err := rbac.NewEscalation(roles, generic.Authorization.Authorizer)
	return &StandaloneRoles{
		Roles:      roles,
		Escalation: escalation,
		Synced: healthz.NamedCheck("roles", func(*http.Request) error {
			if !roles.HasSynced() {
				return errors.New("roles and bindings have not been read yet")
			}
			return nil
		}),
	}, err
}
