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
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
)

// A controller that worked as the server itself could do everything, and nobody would notice
// what its role lacks.
func TestEveryControllerIsAUserOfItsOwnWithARoleOfItsOwn(t *testing.T) {
	loopback := &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "of-the-server", TLSClientConfig: rest.TLSClientConfig{CertData: []byte("c"), KeyData: []byte("k")}}
	bound := map[string]bool{}
	for _, object := range rbac.BootstrapObjects() {
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
	all, err := newControllers(func(name string) *rest.Config {
		config := controllerConfig(loopback, name, identities.Mint(name))
		if len(config.CertData) > 0 || len(config.KeyData) > 0 || config.BearerToken == loopback.BearerToken {
			t.Errorf("%s has the server's own credentials", name)
		}
		tokens[name] = config.BearerToken
		return &rest.Config{Host: config.Host}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 || len(tokens) != len(all) {
		t.Errorf("%d controllers have %d names", len(all), len(tokens))
	}
	for name, token := range tokens {
		response, known, err := identities.AuthenticateToken(t.Context(), token)
		if err != nil || !known {
			t.Fatalf("nobody knows %s: %v", name, err)
		}
		who := response.User
		if !strings.HasPrefix(who.GetName(), authentication.ControllerUserPrefix) || slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
			t.Errorf("%s is %s in %v", name, who.GetName(), who.GetGroups())
		}
		if !bound[who.GetName()] {
			t.Errorf("no role of its own is bound to %s", who.GetName())
		}
	}
}
