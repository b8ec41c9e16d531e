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
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/structured"
)

// StandaloneRoles is the result of StandaloneOptions.Apply.
type StandaloneRoles struct {
	// Rules resolves the rules of a user.
	Rules authorizer.RuleResolver
	// Escalation keeps callers from granting permissions that they do not hold.
	Escalation *rbac.Escalation
	// Synced passes once the roles have been read: before that, valid permissions would be denied.
	Synced healthz.HealthChecker
}

// StandaloneInputs are the values from which the authorizer of the standalone mode is built.
type StandaloneInputs struct {
	// Informers have the roles and bindings.
	Informers rbacinformers.Interface
	// BoundInstances looks up whether an instance is bound to a host.
	BoundInstances host.BoundInstances
	// Hosts are the options of the authorizer of hosts.
	Hosts host.Options
	// HealthPaths are allowed to all users.
	HealthPaths []string
}

// Apply sets the authorizer of a server of the standalone mode.
func (o StandaloneOptions) Apply(generic *genericapiserver.Config, in StandaloneInputs) (*StandaloneRoles, error) {
	roles, err := rbac.New(in.Informers)
	if err != nil {
		return nil, err
	}
	hosts, err := host.New(in.BoundInstances, in.Hosts)
	if err != nil {
		return nil, err
	}
	generic.RuleResolver = roles
	chain := Standalone{HealthPaths: in.HealthPaths, Hosts: hosts, Roles: roles}
	if o.ConfigFile == "" {
		generic.Authorization.Authorizer, err = NewStandalone(chain)
	} else {
		err = o.follow(generic, chain, roles)
	}
	if err != nil {
		return nil, err
	}
	escalation, err := rbac.NewEscalation(roles, generic.Authorization.Authorizer)
	return &StandaloneRoles{
		Rules:      generic.RuleResolver,
		Escalation: escalation,
		Synced: healthz.NamedCheck("roles", func(*http.Request) error {
			if !roles.HasSynced() {
				return errors.New("roles and bindings have not been read yet")
			}
			return nil
		}),
	}, err
}

// follow sets the authorizers of the file, which may change while the server runs.
func (o StandaloneOptions) follow(generic *genericapiserver.Config, chain Standalone, roles *rbac.Authorizer) error {
	fixed, err := chain.fixed()
	if err != nil {
		return err
	}
	followed, err := structured.New(structured.Config{File: o.ConfigFile, Fixed: fixed, Roles: roles, ServerID: generic.APIServerID})
	if err != nil {
		return fmt.Errorf("--authorization-config: %w", err)
	}
	generic.Authorization.Authorizer, generic.RuleResolver = followed, followed
	return generic.AddPostStartHook("follow-authorization-config", func(hook genericapiserver.PostStartHookContext) error {
		go followed.Run(hook)
		return nil
	})
}
