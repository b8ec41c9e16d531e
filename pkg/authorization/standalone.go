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

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// Standalone holds the authorizers of the standalone mode, besides the fixed rules.
type Standalone struct {
	// HealthPaths are allowed to all users.
	HealthPaths []string
	// Hosts decides about hosts' agents, and has no opinion on other users; see host.New.
	Hosts authorizer.Authorizer
	// Roles decides by roles and bindings; see rbac.New.
	Roles authorizer.Authorizer
}

// NewStandalone returns an authorizer that decides in this order: it allows everything to
// system:masters, the health paths to all users, to hosts only their own objects independent of their
// roles, and to all other users what their roles allow. Any other request gets 403. system:masters
// comes first because the server's own loopback client is a member: the library authenticates that
// client, but does not authorize it.
func NewStandalone(c Standalone) (authorizer.Authorizer, error) {
	if c.Roles == nil {
		return nil, errors.New("the standalone mode needs the authorizer of roles")
	}
	fixed, err := c.fixed()
	if err != nil {
		return nil, err
	}
	return union.New(diagnostics.NamedAuthorizers(append(fixed, union.NamedAuthorizer{AuthorizerName: "rbac", Authorizer: c.Roles})...)...)
}

// fixed returns the authorizers that precede roles and those of --authorization-config.
func (c Standalone) fixed() ([]union.NamedAuthorizer, error) {
	if c.Hosts == nil {
		return nil, errors.New("the standalone mode needs the authorizer of hosts")
	}
	health, err := path.NewAuthorizer(c.HealthPaths)
	if err != nil {
		return nil, err
	}
	return []union.NamedAuthorizer{
		{AuthorizerName: user.SystemPrivilegedGroup, Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		{AuthorizerName: "health-paths", Authorizer: health},
		{AuthorizerName: "hosts", Authorizer: c.Hosts},
	}, nil
}
