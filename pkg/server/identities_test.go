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

package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
)

// A controller with the server's own identity would have all permissions, and tests would not show
// what its role lacks.
func TestEveryControllerIsAUserOfItsOwnWithARoleOfItsOwn(t *testing.T) {
	loopback := &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "of-the-server", TLSClientConfig: rest.TLSClientConfig{CertData: []byte("c"), KeyData: []byte("k")}}
	bound := map[string]bool{}
	for _, object := range rbac.BootstrapObjects(controllerRoles()) {
		if binding, ok := object.Object.(*rbacv1.ClusterRoleBinding); ok && binding.Name != "cluster-admin" {
			for _, subject := range binding.Subjects {
				if subject.Kind == rbacv1.UserKind && binding.RoleRef.Name == subject.Name {
					bound[subject.Name] = true
				}
			}
		}
	}
	identities := authentication.NewControllers()
	tokens := map[string]string{}
	if _, err := manager.NewStandalone(manager.Standalone{
		Controllers: manager.Selection{manager.AllControllers},
		Backup:      func(context.Context, func(backup.Result)) error { return nil },
		Identity: func(name string) *rest.Config {
			config := manager.TokenConfig(loopback, name, identities.Mint(name))
			if len(config.CertData) > 0 || len(config.KeyData) > 0 || config.BearerToken == loopback.BearerToken {
				t.Errorf("%s has the server's own credentials", name)
			}
			tokens[name] = config.BearerToken
			return &rest.Config{Host: config.Host}
		},
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range manager.ClientNames() {
		if tokens[name] == "" {
			t.Errorf("%s was not constructed", name)
		}
	}
	users := controllerUsers()
	for name, token := range tokens {
		response, known, err := identities.AuthenticateToken(t.Context(), token)
		if err != nil || !known {
			t.Fatalf("%s is not authenticated: %v", name, err)
		}
		got := response.User
		if !strings.HasPrefix(got.GetName(), authentication.ControllerUserPrefix) || slices.Contains(got.GetGroups(), user.SystemPrivilegedGroup) {
			t.Errorf("%s is %s in %v", name, got.GetName(), got.GetGroups())
		}
		if !bound[got.GetName()] {
			t.Errorf("no role is bound to %s", got.GetName())
		}
		if !slices.Contains(users, got.GetName()) {
			t.Errorf("flow control does not have %s", got.GetName())
		}
	}
}
